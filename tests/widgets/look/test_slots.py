import pytest

from kvmmu_edu.lib.rbtree import RbNode
from kvmmu_edu.virt.memslots import memslots
from kvmmu_widgets import look, runs
from kvmmu_widgets.look.slots import depth, longest_bucket


@pytest.fixture
def vm():
    return runs.change("flags", 5)


def test_slots_are_listed_by_guest_frame(vm):
    grid = look.slots(vm)
    assert grid["slot"] == [0, 1, 2, 3, 4]
    assert grid["gfn"][0] == "0x100 to 0x10f"
    assert grid["flags"][2] == "LOG_DIRTY_PAGES"
    assert grid.caption == "5 slots; generation 12"


def test_many_slots_are_counted():
    grid = look.slots(runs.many_slots(70))
    assert len(grid) == 64
    assert grid.caption == "70 slots, the first 64; generation 140"


def test_the_other_address_space_is_empty(vm):
    assert look.slots(vm, as_id=1).caption == "0 slots; generation 1"


def test_both_sets_are_equal_at_rest(vm):
    grid = look.sets(vm)
    assert grid["readers"].count("active") == 1
    assert grid["slots"] == [5, 5]
    assert len(set(grid["gfn tree"])) == 1
    active = grid["readers"].index("active")
    assert grid["generation"][active] == "12"
    assert runs.generation(vm) == 12


def test_a_set_remembers_the_slot_that_was_found_last(vm):
    memslots(vm.kvm).remember_last_used(memslots(vm.kvm).slots_by_gfn()[3])
    assert sorted(look.sets(vm)["last_used_slot"]) == ["none", "slot 3"]


def test_a_way_leads_to_the_slot(vm):
    for n in range(5):
        grid = look.path(vm, 0x100 * (n + 1) + 5)
        assert grid["node"][-1] == f"slot {n}"
        assert grid["so"][-1] == "here it is"
        assert grid["depth"] == list(range(1, len(grid) + 1))


@pytest.mark.parametrize("gfn", [0, 0x110, 0x1FF, 0x510, 0x10000])
def test_a_way_into_a_hole_leads_to_nothing(vm, gfn):
    grid = look.path(vm, gfn)
    assert grid.caption.endswith("there is no memory")
    assert "here it is" not in grid["so"]


def test_no_slots_no_way():
    assert len(look.path(runs.slots(0), 1)) == 0


def test_depth_is_that_of_the_longest_way():
    assert depth(None) == 0
    top = RbNode()
    top.left, top.right = RbNode(), RbNode()
    top.left.left = RbNode()
    assert depth(top) == 3


def test_ids_share_128_buckets():
    vm = runs.many_slots(129)
    assert look.sets(vm)["id hash"] == [2, 2]
    assert longest_bucket(memslots(runs.slots(0).kvm).id_hash) == 0
