import pytest

from kvmmu_edu.bench import faults
from kvmmu_edu.bench.meter import Meter


@pytest.mark.parametrize("make", [faults.by_reads, faults.by_one_run])
@pytest.mark.parametrize("trace", ["none", "events", "steps"])
def test_each_operation_is_one_fault(make, trace, monkeypatch):
    made = []
    guest = faults.guest
    monkeypatch.setattr(faults, "guest", lambda *args: made.append(guest(*args)) or made[-1])
    work = make(16, trace)
    before = made[0].stats["pf_fixed"]
    assert made[0].stats["pf_fixed"] - before + work() == 15
    assert made[0].stats["pf_fixed"] == 16
    assert made[0].vm.trace.keeps_events == (trace != "none")


def test_figures_for_each_way_and_trace():
    names = [figure.name for figure in faults.faults(Meter(quick=True))]
    assert names == [
        f"faults.{way}.{t}" for t in ("none", "events", "steps") for way in ("read", "run")
    ]
