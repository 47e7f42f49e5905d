from kvmmu_edu.bench.crowd import MOVING, Crowd


def test_the_last_slots_come_and_go():
    crowd = Crowd(100)
    assert len(crowd.memslots.slots_by_gfn()) == 100
    assert crowd.create_last() == 0
    assert crowd.delete_last() == MOVING
    assert [slot.id for slot in crowd.memslots.slots_by_gfn()] == list(range(100 - MOVING))
    assert crowd.delete_last() == 0
    assert crowd.create_last() == MOVING
    assert [slot.id for slot in crowd.memslots.slots_by_gfn()] == list(range(100))
    crowd.vm.check()


def test_where_slots_are():
    crowd = Crowd(MOVING)
    for number, slot in enumerate(crowd.memslots.slots_by_gfn()):
        assert (slot.base_gfn, slot.userspace_addr) == (crowd.gfn(number), crowd.hva(number))
