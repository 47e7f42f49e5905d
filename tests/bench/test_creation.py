from kvmmu_edu.bench.creation import creation
from kvmmu_edu.bench.meter import Meter


def test_figures():
    figures = list(creation(Meter(quick=True)))
    parts = ["vm", "guest", "snapshot", "hash", "check"]
    assert [figure.name for figure in figures] == [f"creation.{part}" for part in parts]
    assert all(figure.seconds > 0 for figure in figures)
