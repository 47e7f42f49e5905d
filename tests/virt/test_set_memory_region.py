"""Every check of KVM_SET_USER_MEMORY_REGION: its errno, its place in the order, its reason."""

import re

import pytest

from kvmmu_edu.errors import KvmError
from kvmmu_edu.virt.memslots import memslots
from kvmmu_edu.virt.set_memory_region import (
    TASK_SIZE_MAX,
    UserspaceMemoryRegion,
    _set_memory_region,
    access_ok,
    check_memslot_overlap,
    describe_region,
    vm_ioctl_set_memory_region,
)
from tests.virt.bench import MIB, by_id, delete, errno_of, ioctl, run

PAGE = 4096
HVA = 0x7F00_0000_0000
GIB = 1 << 30
TIB = 1 << 40


def call(kvm, *, slot=0, gpa=0x100000, size=MIB, flags=0, hva=HVA):
    return run(
        kvm, vm_ioctl_set_memory_region(kvm, UserspaceMemoryRegion(slot, flags, gpa, size, hva))
    )


def refusal(kvm, **fields):
    with pytest.raises(KvmError) as caught:
        call(kvm, **fields)
    return caught.value


# the lines of d01_validation that need no slot, with the kernel's answer
@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"gpa": 0x100800}, "guest_phys_addr 0x100800 is not page aligned"),
        ({"size": 0x1800}, "memory_size 0x1800 is not a multiple of a page"),
        ({"hva": HVA + 100}, "userspace_addr .* is not page aligned"),
        ({"hva": 0xFFFF_8000_0000_0000}, "beyond the addresses of user space"),
        ({"hva": TASK_SIZE_MAX - MIB + PAGE}, "beyond the addresses of user space"),
        ({"flags": 4}, "flags 0x4 has bits besides"),
        ({"flags": 0x80000000}, "flags 0x80000000 has bits besides"),
        ({"slot": 32764}, "slot 32764 is not below 32764"),
        ({"slot": 32767}, "slot 32767 is not below 32764"),
        ({"slot": 32768}, "slot 32768 is not below 32764"),
        ({"slot": 0x7FFFFFFE}, "slot 65534 is not below 32764"),
        ({"slot": 0x20000}, "address space 2 .*: there are 2"),
        ({"slot": 5, "size": 0}, "there is no slot 5 to delete"),
        ({"gpa": 0xFFFF_FFFF_FFFF_F000, "size": 8192}, "wraps around 2\\^64"),
        ({"gpa": 0xFFFF_FFFF_FFFF_0000, "size": 65536}, "wraps around 2\\^64"),
        ({"gpa": 64 * GIB, "size": 8 * TIB, "hva": 0}, "2147483648 pages are more than 2147483647"),
    ],
)
def test_einval(kvm, fields, why):
    error = refusal(kvm, **fields)
    assert error.name == "EINVAL"
    assert re.search(why, error.why), error.why
    assert memslots(kvm).generation.read_once() == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"hva": 0x1000},
        {"hva": TASK_SIZE_MAX - MIB},
        {"slot": 32763},
        {"slot": 0x10000},
        {"flags": 3},
        {"gpa": TIB - MIB},
        {"gpa": 0, "size": (2**31 - 1) * PAGE, "hva": 0},
    ],
)
def test_accepted(kvm, fields):
    call(kvm, **fields)
    assert by_id(kvm, fields.get("slot", 0)).id == fields.get("slot", 0) & 0xFFFF


def test_internal_ids_are_for_the_kernel_itself(kvm):
    region = UserspaceMemoryRegion(32766, 0, 0x100000, MIB, HVA)
    run(kvm, _locked(kvm, region))
    assert by_id(kvm, 32766).npages == 256
    beyond = UserspaceMemoryRegion(32767, 0, 0x100000, MIB, HVA)
    assert errno_of(run, kvm, _locked(kvm, beyond)) == "EINVAL"


async def _locked(kvm, region):
    async with kvm.slots_lock:
        await _set_memory_region(kvm, region)


# --- with a slot there ---------------------------------------------------------------------------


@pytest.fixture
def slot(kvm):
    """Slot 0 of 1 MiB at 1 MiB, of host address HVA."""
    call(kvm)
    return kvm


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"size": 2 * MIB}, "has 256 pages; it cannot get 512"),
        ({"hva": HVA + MIB}, "it cannot go to"),
        ({"flags": 2}, "READONLY of slot 0 .* cannot be changed"),
    ],
)
def test_what_cannot_be_changed(slot, fields, why):
    with pytest.raises(KvmError, match=f"EINVAL: .*{why}"):
        call(slot, **fields)


def test_nothing_to_change(slot):
    serial, generation = by_id(slot, 0).serial, memslots(slot).generation.read_once()
    call(slot)
    assert by_id(slot, 0).serial == serial
    assert memslots(slot).generation.read_once() == generation


@pytest.mark.parametrize(
    ("gpa", "size"),
    [
        (0x100000, MIB),
        (0x1FF000, MIB),
        (0x80000, MIB),
        (0x140000, 64 * 1024),
        (0xC0000, 4 * MIB),
    ],
    ids=["same", "end", "start", "inside", "around"],
)
def test_overlap(slot, gpa, size):
    error = refusal(slot, slot=1, gpa=gpa, size=size, hva=HVA + 8 * MIB)
    assert error.name == "EEXIST"
    end = (gpa + size) // PAGE
    assert (
        error.why == f"slot 1 [gfn {gpa // PAGE:#x}, {end:#x}) overlaps slot 0 [gfn 0x100, 0x200)"
    )


def test_neighbours_do_not_overlap(slot):
    call(slot, slot=1, gpa=0x200000)
    call(slot, slot=2, gpa=0xFF000, size=PAGE)
    assert check_memslot_overlap(memslots(slot), 9, 0xFE, 0xFF) is None
    assert check_memslot_overlap(memslots(slot), 9, 0xFE, 0x100).id == 2


def test_address_spaces_do_not_overlap(slot):
    call(slot, slot=0x10000)
    assert by_id(slot, 0x10000).base_gfn == by_id(slot, 0).base_gfn


def test_a_move_may_overlap_where_the_slot_was_but_no_other(slot):
    call(slot, slot=1, gpa=0x200000)
    assert errno_of(ioctl, slot, 1, 0x180000, MIB) == "EEXIST"
    ioctl(slot, 1, 0x240000, MIB)
    assert by_id(slot, 1).base_gfn == 0x240


def test_a_read_only_slot_can_be_logged(slot):
    call(slot, slot=8, gpa=0x600000, flags=2)
    assert errno_of(ioctl, slot, 8, 0x600000, MIB, 0) == "EINVAL"
    ioctl(slot, 8, 0x600000, MIB, 3)
    ioctl(slot, 8, 0x600000, MIB, 2)
    assert by_id(slot, 8).flags == 2


def test_a_slot_is_deleted_once(slot):
    delete(slot, 0)
    assert errno_of(delete, slot, 0) == "EINVAL"


def test_broken_page_count(slot):
    slot.nr_memslot_pages = 5
    with pytest.raises(KvmError, match=r"EIO: slot 0 .* has 256 pages, all slots together 5"):
        delete(slot, 0)


def test_total_pages_wrap(kvm):
    kvm.nr_memslot_pages = 2**64 - 10
    with pytest.raises(KvmError, match=r"EINVAL: .* wrap around"):
        call(kvm)


def test_the_x86_half_has_the_last_word(slot):
    slot.arch.fail = "EINVAL"
    assert errno_of(call, slot, slot=1, gpa=2 * TIB) == "EINVAL"
    assert by_id(slot, 1) is None


def test_checks_come_in_the_kernels_order(slot):
    # what is refused first tells which check came first
    wrong_everywhere = {"flags": 4, "slot": 0x27FFF, "size": 0x1800, "gpa": 1, "hva": 1}
    for field, good, why in [
        ("flags", 0, "flags"),
        ("slot", 0x20001, "slot 32767"),
        ("size", MIB, "memory_size"),
        ("gpa", 0x100000, "guest_phys_addr"),
        ("hva", HVA, "userspace_addr"),
        ("slot", 1, "address space 2"),
    ]:
        assert refusal(slot, **wrong_everywhere).why.startswith(why)
        wrong_everywhere[field] = good
    assert refusal(slot, **wrong_everywhere).name == "EEXIST"


def test_access_ok_needs_no_mapping():
    assert access_ok(0, PAGE)
    assert access_ok(TASK_SIZE_MAX - PAGE, PAGE)
    assert not access_ok(TASK_SIZE_MAX, PAGE)


def test_all_slots_of_user_space_fit_and_not_one_more(kvm):
    for i in range(0, 32764, 4096):
        call(kvm, slot=i, gpa=i * PAGE, size=PAGE)
    call(kvm, slot=32763, gpa=GIB, size=PAGE)
    assert errno_of(call, kvm, slot=32764, gpa=2 * GIB, size=PAGE) == "EINVAL"


@pytest.mark.parametrize(
    ("region", "text"),
    [
        ((1, 0, 0x300000, 4096, 0), "slot 1 0x300000 0x1000"),
        ((1, 3, 0x300000, 4096, 0), "slot 1 0x300000 0x1000 rd"),
        ((0, 1, 0x100000, 1 << 20, 0), "flags 0 d"),
        ((0, 0, 0x100000, 1 << 20, 0), "flags 0 -"),
        ((0, 0, 0x500000, 1 << 20, 0), "move 0 0x500000"),
        ((0, 0, 0, 0, 0), "delete 0"),
        ((0x50000, 0, 0, 4096, 0), "slot 327680 0x0 0x1000"),
    ],
)
def test_what_is_asked_for_in_a_few_words(kvm, region, text):
    first = UserspaceMemoryRegion(0, 0, 0x100000, 1 << 20, 0x7F0000000000)
    kvm.sched.run("kvmtrace", vm_ioctl_set_memory_region(kvm, first))
    assert describe_region(kvm, UserspaceMemoryRegion(*region)) == text
