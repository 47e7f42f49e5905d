import itertools

import pytest

from kvmmu_edu.errors import UsageError
from kvmmu_edu.scenario.operations import GuestAccesses, GuestStore, Invlpg, ReloadCr3
from kvmmu_edu.scenario.programs import Program, instructions, targets
from kvmmu_edu.x86.guest import Access, Instruction

LONG, FLAT = Program("long64", 0xD0000000), Program("flat32", 0xD0000000)


def run(operation, program=LONG, **extra):
    return list(instructions(operation, program, **extra))


def test_a_loop_touches_count_addresses():
    found = run(GuestAccesses("read", 0x400000, 3, 0x200000))
    assert [i.accesses[0].gva for i in found] == [0x400000, 0x600000, 0x800000]
    assert [i.rdi for i in found] == [0x400000, 0x600000, 0x800000]


@pytest.mark.parametrize(
    ("kind", "program", "rip", "access"),
    [
        ("read", LONG, 0xD0000000, Access("read", 0x1000, 8, 0)),
        ("write", LONG, 0xD0000040, Access("write", 0x1000, 8, 0x5A5A5A5A)),
        ("rmw", LONG, 0xD0000140, Access("rmw", 0x1000, 8, 0)),
        ("read", FLAT, 0xD0000000, Access("read", 0x1000, 4, 0)),
        ("write", FLAT, 0xD0000020, Access("write", 0x1000, 4, 0x5A5A5A5A)),
        ("rmw", FLAT, 0xD0000120, Access("rmw", 0x1000, 4, 0)),
    ],
)
def test_each_loop_has_its_place_and_its_width(kind, program, rip, access):
    assert run(GuestAccesses(kind, 0x1000), program) == [Instruction(rip, (access,), 0x1000)]


def test_a_store_has_a_value_of_its_own_cut_to_its_width():
    store = GuestStore(0x1000, 0x1_0000_0002)
    assert run(store)[0].accesses[0].value == 0x1_0000_0002
    assert run(store, FLAT)[0].accesses[0].value == 2


def test_execution_jumps_there_and_back():
    found = run(GuestAccesses("exec", 0x400000, 2))
    assert [i.rip for i in found] == [0xD0000080, 0x400000, 0xD0000080, 0x401000]
    assert all(not i.accesses for i in found)


def test_a_32_bit_guest_pushes_once_before_it_executes():
    found = run(GuestAccesses("exec", 0x400000, 2), FLAT)
    assert [i.rip for i in found] == [0xD0000060, 0x400000, 0xD0000060, 0x401000]
    pushes = [access for i in found for access in i.accesses]
    assert [(push.kind, push.gva, push.size) for push in pushes] == [("write", 0xD003FFEC, 4)]


def test_page_table_work_touches_no_data():
    assert run(Invlpg(0x401000)) == [Instruction(0xD00000C0, (), 0x401000)]
    assert run(ReloadCr3()) == [Instruction(0xD0000100, (), 0)]


def test_addresses_wrap_at_the_width_of_the_mode():
    last = GuestAccesses("read", 0xFFFFF000, 2)
    assert list(targets(last)) == [0xFFFFF000, 0x100000000]
    assert list(targets(last, "flat32")) == [0xFFFFF000, 0]


def test_an_access_to_two_pages_is_refused():
    assert run(GuestAccesses("read", 0x1FF8))
    assert run(GuestAccesses("read", 0x1FFC), FLAT)
    with pytest.raises(UsageError, match="read of 8 bytes at 0x1ffc touches two pages; expected"):
        run(GuestAccesses("read", 0x1FFC))


def test_repetition_is_done_one_by_one_unless_it_may_be_cut_short():
    spin = GuestAccesses("rmw", 0x1000, 60_000_000, 0)
    found = itertools.islice(instructions(spin, LONG), 1000)
    assert {i.accesses for i in found} == {(Access("rmw", 0x1000, 8, 0),)}


def test_repetition_cut_short_stands_for_the_rest():
    answers = iter([False, False, True])
    found = run(GuestAccesses("rmw", 0x1000, 1000, 0), may_cut_short=lambda: next(answers))
    assert [i.accesses[0].value or 1 for i in found] == [1, 1, 1, 997]


def test_a_single_access_is_never_cut_short():
    assert len(run(GuestAccesses("write", 0x1000, 1, 0), may_cut_short=lambda: True)) == 1


def test_a_write_repeated_stores_the_same_value():
    found = run(GuestAccesses("write", 0x1000, 9, 0), may_cut_short=lambda: True)
    assert [i.accesses[0].value for i in found] == [0x5A5A5A5A, 0x5A5A5A5A]
