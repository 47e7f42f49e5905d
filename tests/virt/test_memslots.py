"""The two sets: against a plain dict, and check() against broken sets."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from kvmmu_edu.errors import InvariantError, KvmError
from kvmmu_edu.trace.events import LastUsedSlotChanged, SlotFreed, TreeChanged
from kvmmu_edu.trace.recorder import StepTrace
from kvmmu_edu.virt import memslots as module
from kvmmu_edu.virt.gfn_tree import gfn_to_memslot
from kvmmu_edu.virt.hva_tree import for_each_memslot_in_hva_range
from kvmmu_edu.virt.memslots import (
    all_memslots,
    free_memslots,
    get_inactive_memslots,
    id_to_memslot,
    memslots,
    memslots_get_as_id,
    snapshot,
)
from tests.virt.bench import MIB, by_id, delete, ioctl, kinds, make_kvm

PAGE = 4096


def test_a_new_vm_has_two_empty_sets_for_each_address_space(kvm):
    assert [[(s.as_id, s.node_idx) for s in pair] for pair in all_memslots(kvm)] == [
        [(0, 0), (0, 1)],
        [(1, 0), (1, 1)],
    ]
    assert [memslots(kvm, i).generation.read_once() for i in (0, 1)] == [0, 1]
    assert get_inactive_memslots(kvm, 1).node_idx == 1
    module.check(kvm)


def test_both_sets_link_the_same_objects(kvm):
    ioctl(kvm, 3, 0, MIB)
    active, inactive = memslots(kvm), get_inactive_memslots(kvm, 0)
    assert active is not inactive
    assert id_to_memslot(active, 3) is id_to_memslot(inactive, 3)


def test_id_lookup_goes_through_a_full_bucket(kvm):
    for i in range(300):
        ioctl(kvm, i, i * MIB, PAGE)
    assert [id_to_memslot(memslots(kvm), i).id for i in range(300)] == list(range(300))
    assert id_to_memslot(memslots(kvm), 300) is None


def test_last_used_slot_follows_a_replacement_in_both_sets(kvm):
    # without this, the next lookup would return a slot that was freed
    ioctl(kvm, 0, 0, MIB)
    gfn_to_memslot(kvm, 0)
    ioctl(kvm, 0, 0, MIB, 1)
    gfn_to_memslot(kvm, 0)
    new = by_id(kvm, 0)
    assert gfn_to_memslot(kvm, 0) is new
    ioctl(kvm, 0, 0, MIB, 0)
    assert {s.last_used_slot.read_once() for s in all_memslots(kvm)[0]} == {by_id(kvm, 0)}
    delete(kvm, 0)
    assert [s.last_used_slot.read_once() for s in all_memslots(kvm)[0]] == [None, None]
    assert kinds(kvm, LastUsedSlotChanged)[-1].serial == 0


def test_address_spaces_are_independent(kvm):
    ioctl(kvm, 0, 0, MIB)
    ioctl(kvm, 0x10000, 0, MIB)
    assert by_id(kvm, 0) is not by_id(kvm, 0x10000)
    generations = [memslots(kvm, i).generation.read_once() for i in (0, 1)]
    assert generations == [2, 3]


def test_slots_of_different_address_spaces_cannot_replace_each_other(kvm):
    ioctl(kvm, 0, 0, MIB)
    ioctl(kvm, 0x10000, 0, MIB)
    with pytest.raises(InvariantError, match=r"address space 0, .* of 1"):
        memslots_get_as_id(by_id(kvm, 0), by_id(kvm, 0x10000))


def test_trees_are_told_step_by_step_when_asked():
    kvm = make_kvm(StepTrace())
    ioctl(kvm, 0, 0, MIB)
    ioctl(kvm, 1, MIB, MIB)
    changes = kinds(kvm, TreeChanged)
    first = by_id(kvm, 0).serial
    second = by_id(kvm, 1).serial
    assert changes[0][:4] == ("hva_tree", 0, 1, "linked slot 0 [gfn 0x0, 0x100) at the top, red")
    last = [change for change in changes if change.tree == "gfn_tree" and change.node_idx == 0][-1]
    assert last.why == "linked slot 1 [gfn 0x100, 0x200) right of slot 0 [gfn 0x0, 0x100), red"
    assert last.shape == (first, 1, None, (second, 0, None, None))


def test_trees_are_silent_otherwise(kvm):
    ioctl(kvm, 0, 0, MIB)
    assert kinds(kvm, TreeChanged) == []


def test_a_vm_that_goes_away_frees_each_slot_once(kvm):
    for number in (0, 1, 0x10000):
        ioctl(kvm, number, number * MIB, MIB, 1)
    free_memslots(kvm)
    assert sorted(kinds(kvm, SlotFreed)) == [(1,), (2,), (3,)]
    assert [call for call in kvm.arch.calls if call[0] == "free"] == [
        ("free", 1),
        ("free", 2),
        ("free", 3),
    ]
    module.check(kvm)


# --- check() notices ---------------------------------------------------------------------------


@pytest.fixture
def two(kvm):
    ioctl(kvm, 0, 0, MIB)
    ioctl(kvm, 1, MIB, MIB)
    return kvm


def broken(kvm, match):
    with pytest.raises(InvariantError, match=match):
        module.check(kvm)


def test_check_a_slot_that_only_one_set_has(two):
    inactive = get_inactive_memslots(two, 0)
    slot = by_id(two, 1)
    idx = inactive.node_idx
    inactive.id_hash.hash_del(slot.id_node[idx])
    broken(two, "gfn_tree and id_hash differ in the serials")


def test_check_sets_that_differ(two):
    module.replace_memslot(two, by_id(two, 1), None)
    broken(two, r"has the serials \[1, 2\], .* has \[1\]")


def test_check_overlap(two):
    by_id(two, 0).npages += 1
    broken(two, r"slot 0 \[gfn 0x0, 0x101\) overlaps slot 1")


def test_check_the_hva_node(two):
    by_id(two, 0).userspace_addr += PAGE
    broken(two, "but its node says")


def test_check_the_id(two):
    by_id(two, 0).id = 77
    broken(two, r"slot 77 \[gfn 0x0, 0x100\) is in the id_hash as 0")


def test_check_the_generation(two):
    memslots(two).generation.write_once(5)
    broken(two, "generation 0x5, expected 0 modulo 2")
    memslots(two).generation.write_once(1 << 63)
    broken(two, "without bit 63")


def test_check_a_last_used_slot_that_is_gone(two):
    gone = by_id(two, 1)
    delete(two, 1)
    memslots(two).last_used_slot.write_once(gone)
    broken(two, "last_used_slot is slot 1 .* not in the set")


def test_check_a_bitmap(two):
    ioctl(two, 2, 4 * MIB, 63 * PAGE, 1)
    by_id(two, 2).dirty_bitmap[:] = 2**64 - 1
    broken(two, "dirty bits 0x8000000000000000 of the last word are behind")


def test_check_a_copy_that_was_left_behind(two):
    by_id(two, 0).flags |= 1 << 16
    broken(two, "INVALID .* at rest")


def test_check_the_counts(two):
    two.nr_memslot_pages += 1
    broken(two, "nr_memslot_pages is 513 but the slots have 512 pages")
    two.nr_memslot_pages -= 1
    two.nr_memslots_dirty_logging.add_return(1)
    broken(two, "nr_memslots_dirty_logging is 1 but 0 slots")


def test_check_a_slot_that_was_not_freed(two):
    two.slots_by_serial[99] = by_id(two, 0)
    broken(two, r"slots_by_serial and the sets differ in \[99\]")


# --- against a dict ------------------------------------------------------------------------------

SIZES = st.sampled_from([0, 1, 3, 8, 512])
IDS = st.sampled_from([0, 1, 2, 3, 200, 0x10000, 0x10001])


class AgainstDict(RuleBasedStateMachine):
    """Random calls of the ioctl; the model is {slot number: (gfn, npages, flags, hva)}."""

    def __init__(self):
        super().__init__()
        self.kvm = make_kvm()
        self.model = {}
        self.generations = [0, 1]

    def overlaps(self, number, gfn, npages):
        return any(
            other != number and other >> 16 == number >> 16 and gfn < g + n and g < gfn + npages
            for other, (g, n, _, _) in self.model.items()
        )

    def expected(self, number, gfn, npages, flags, hva):
        """The errno name or None, and how far the generation moves."""
        old = self.model.get(number)
        if npages == 0:
            return ("EINVAL", 0) if old is None else (None, 4)
        if old is None:
            return ("EEXIST", 0) if self.overlaps(number, gfn, npages) else (None, 2)
        if hva != old[3] or npages != old[1] or (flags ^ old[2]) & 2:
            return "EINVAL", 0
        if gfn != old[0]:
            return ("EEXIST", 0) if self.overlaps(number, gfn, npages) else (None, 4)
        return None, 2 if flags != old[2] else 0

    @rule(
        number=IDS,
        gfn=st.integers(0, 40),
        npages=SIZES,
        flags=st.integers(0, 3),
        fail=st.booleans(),
        keep=st.booleans(),
    )
    def set_region(self, number, gfn, npages, *, flags, fail, keep):
        old = self.model.get(number)
        hva = 0x1000_0000 + (number & 0xFF) * PAGE
        if keep and old and npages:
            npages, flags, hva = old[1], flags & 1 | old[2] & 2, old[3]
        name, moved = self.expected(number, gfn, npages, flags, hva)
        reaches_arch = name is None and moved > 0
        self.kvm.arch.fail = "ENOMEM" if fail and reaches_arch and npages else None
        if self.kvm.arch.fail:
            name, moved = "ENOMEM", 4 if moved == 4 else 0
        refused = None
        try:
            ioctl(self.kvm, number, gfn * PAGE, npages * PAGE, flags, hva=hva)
        except KvmError as error:
            refused = error.name
        assert refused == name
        if name is None and npages:
            self.model[number] = (gfn, npages, flags, hva)
        elif name is None:
            del self.model[number]
        self.generations[number >> 16] += moved

    @rule(gfn=st.integers(0, 60))
    def look_up(self, gfn):
        found = gfn_to_memslot(self.kvm, gfn)
        wanted = [i for i, (g, n, _, _) in self.model.items() if i < 0x10000 and g <= gfn < g + n]
        assert ([found.id] if found else []) == wanted

    @rule(page=st.integers(0, 300))
    def look_up_hva(self, page):
        hva = 0x1000_0000 + page * PAGE
        found = [s.id for s in for_each_memslot_in_hva_range(memslots(self.kvm), hva, hva)]
        wanted = [
            i for i, (_, n, _, h) in self.model.items() if i < 0x10000 and h <= hva < h + n * PAGE
        ]
        assert sorted(found) == sorted(wanted)

    @invariant()
    def sets_hold_the_model(self):
        module.check(self.kvm)
        held = {
            slot.as_id << 16 | slot.id: (
                slot.base_gfn,
                slot.npages,
                slot.flags,
                slot.userspace_addr,
            )
            for slot in self.kvm.slots_by_serial.values()
        }
        assert held == self.model
        generations = [memslots(self.kvm, i).generation.read_once() for i in (0, 1)]
        assert generations == self.generations
        for slot in self.kvm.slots_by_serial.values():
            assert (slot.dirty_bitmap is not None) == bool(slot.flags & 1)


TestAgainstDict = AgainstDict.TestCase
TestAgainstDict.settings = settings(
    max_examples=50, stateful_step_count=40, deadline=None, derandomize=True
)


def test_snapshots_compare_by_value():
    first, second = make_kvm(), make_kvm()
    for kvm in (first, second):
        ioctl(kvm, 0, 0, MIB, 1)
        ioctl(kvm, 1, MIB, MIB)
    assert snapshot(first) == snapshot(second)
    gfn_to_memslot(first, 0)
    assert snapshot(first) != snapshot(second)
    gfn_to_memslot(second, 0)
    by_id(second, 0).dirty_bitmap[0] = 1
    assert snapshot(first) != snapshot(second)
