from kvmmu_edu.bench import everything as module
from kvmmu_edu.bench.meter import Meter


def test_each_figure_has_a_name_of_its_own(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "COUNTS", (70, 90))
    names = [figure.name for figure in module.everything(Meter(quick=True), tmp_path)]
    assert len(set(names)) == len(names)
    kinds = {name.split(".")[0] for name in names}
    assert kinds == {"faults", "translations", "slots", "lookups", "creation"}
    assert {name.split(".")[-1] for name in names if name.startswith("slots")} == {"70", "90"}
