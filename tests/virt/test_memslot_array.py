"""Slots in an array: the same answers as the trees, at another price."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvmmu_edu import Choices, Vm
from kvmmu_edu.errors import InvariantError, KvmError
from kvmmu_edu.lib import rbtree
from kvmmu_edu.virt import memslots as sets
from kvmmu_edu.virt.gfn_tree import for_each_memslot_in_gfn_range, search_memslots
from kvmmu_edu.virt.hva_tree import for_each_memslot_in_hva_range
from kvmmu_edu.virt.memslots import id_to_memslot, memslots
from tests.virt.bench import MIB, errno_of, ioctl, make_kvm

PAGE = 4096


def pair():
    return [Vm(choices=Choices(memslots=how)) for how in ("tree", "array")]


def vm_with(nslots, how="array"):
    vm = Vm(choices=Choices(memslots=how))
    hva = vm.host.mmap("A", "anon4k", nslots * PAGE)
    for number in range(nslots):
        vm.set_user_memory_region(number, 0, number * 2 * PAGE, PAGE, hva + number * PAGE)
    return vm, hva


def copied(vm):
    return vm.counters.counts["slots_copied"]


# --- what it costs --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "copies"),
    [("create", 1), ("flags", 1), ("delete", 2), ("move", 2)],
)
def test_each_change_copies_all_slots_once_or_twice(change, copies):
    vm, hva = vm_with(50)
    before = copied(vm)
    if change == "create":
        vm.set_user_memory_region(50, 0, 1 << 30, PAGE, hva)
    elif change == "flags":
        vm.set_user_memory_region(7, 1, 14 * PAGE, PAGE, hva + 7 * PAGE)
    elif change == "delete":
        vm.set_user_memory_region(7, 0, 0, 0, 0)
    else:
        vm.set_user_memory_region(7, 0, 1 << 30, PAGE, hva + 7 * PAGE)
    assert copied(vm) - before == 50 * copies
    vm.check()


def test_the_trees_copy_nothing():
    vm, _ = vm_with(50, "tree")
    assert copied(vm) == 0


def depth_of(root, slot_id):
    """Return how many nodes are looked at on the way from the root to a slot."""
    (node,) = (node for node in rbtree.in_order(root) if node.owner.id == slot_id)
    depth = 0
    while node is not None:
        depth, node = depth + 1, node.parent
    return depth


@pytest.mark.parametrize("nslots", [30, 509])
def test_setting_up_many_slots_copies_a_square_of_them_or_touches_few_nodes(nslots):
    vm, _ = vm_with(nslots)
    assert copied(vm) == nslots * (nslots - 1) // 2
    assert vm.counters.counts["slots_moved"] == copied(vm)
    trees, _ = vm_with(nslots, "tree")
    slots = memslots(trees.kvm)
    for root in (slots.gfn_tree, slots.hva_tree):
        assert max(depth_of(root, number) for number in range(nslots)) <= 2 * nslots.bit_length()


# --- what it finds --------------------------------------------------------------------------------

slot_calls = st.lists(
    st.tuples(
        st.integers(0, 5),  # id
        st.sampled_from([0, 0, 1, 2, 3]),  # flags
        st.integers(0, 12),  # gfn
        st.sampled_from([0, 1, 2, 3]),  # pages
        st.integers(0, 3),  # page of the mapping
    ),
    max_size=25,
)


@given(slot_calls)
def test_it_answers_like_the_trees(calls):
    vms = pair()
    hvas = [vm.host.mmap("A", "anon4k", 8 * PAGE) for vm in vms]
    for number, flags, gfn, npages, page in calls:
        outcomes = []
        for vm, hva in zip(vms, hvas, strict=True):
            where = (gfn * PAGE, npages * PAGE, hva + page * PAGE)
            try:
                outcomes.append(vm.set_user_memory_region(number, flags, *where))
            except KvmError as error:
                outcomes.append(error.name)
            vm.check()
        assert outcomes[0] == outcomes[1]
    trees, arrays = (memslots(vm.kvm) for vm in vms)
    assert trees.generation.read_once() == arrays.generation.read_once()
    for ask in (
        *(lambda s, g=g: search_memslots(s, g) for g in range(17)),
        *(lambda s, i=i: id_to_memslot(s, i) for i in range(6)),
    ):
        one, other = ask(trees), ask(arrays)
        assert (one and one.snapshot()) == (other and other.snapshot())
    for start in range(0, 16, 3):
        found = [
            [slot.id for slot in for_each_memslot_in_gfn_range(slots, start, start + 4)]
            for slots in (trees, arrays)
        ]
        assert found[0] == found[1]
    for page in range(8):
        found = [
            {slot.id for slot in for_each_memslot_in_hva_range(slots, start, start + PAGE - 1)}
            for slots, start in ((trees, hvas[0] + page * PAGE), (arrays, hvas[1] + page * PAGE))
        ]
        assert found[0] == found[1]


def test_guests_notice_nothing():
    results = []
    for vm in pair():
        hva = vm.host.mmap("A", "anon4k", MIB)
        vm.set_user_memory_region(0, 0, MIB, MIB, hva)
        vcpu = vm.create_vcpu()
        vcpu.write(MIB)
        vm.set_user_memory_region(0, 1, MIB, MIB, hva)
        vcpu.write(MIB)
        vm.set_user_memory_region(0, 1, 2 * MIB, MIB, hva)
        exits = vcpu.write(MIB) + vcpu.write(2 * MIB)
        vm.check()
        vm.destroy()
        results.append((exits, dict(vm.counters.vm), dict(vcpu.stats)))
    assert results[0] == results[1]


def test_a_failed_move_leaves_the_slot_where_it_was():
    kvm = make_kvm(memslots="array")
    ioctl(kvm, 0, 4 * MIB, MIB)
    kvm.arch.fail = "ENOMEM"
    assert errno_of(ioctl, kvm, 0, 8 * MIB, MIB) == "ENOMEM"
    slot = id_to_memslot(memslots(kvm), 0)
    assert slot.base_gfn == 4 * MIB // PAGE
    assert not slot.flags
    sets.check(kvm)


def test_check_finds_what_is_wrong():
    vm, _ = vm_with(3)
    array = memslots(vm.kvm).array
    array.entries.reverse()
    with pytest.raises(InvariantError, match="stands before"):
        vm.check()
    array.entries.reverse()
    array.id_to_index[2] = 1
    with pytest.raises(InvariantError, match="id_to_index says"):
        vm.check()
