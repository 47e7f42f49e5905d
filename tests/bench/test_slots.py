from kvmmu_edu.bench import slots
from kvmmu_edu.bench.crowd import MOVING, Crowd
from kvmmu_edu.bench.meter import Meter


def test_all_slots_are_there_afterwards():
    crowd = Crowd(80)
    names = [figure.name for figure in slots.slots(Meter(quick=True), crowd)]
    assert names == ["slots.delete.80", "slots.create.80"]
    assert len(crowd.memslots.slots_by_gfn()) == 80


def test_each_turn_finds_what_it_needs():
    crowd = Crowd(80)
    assert [slots._deletion(crowd)() for _ in range(2)] == [MOVING, MOVING]
    assert [slots._creation(crowd)() for _ in range(2)] == [MOVING, MOVING]
