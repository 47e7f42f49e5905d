"""What KVM does itself when an instruction cannot be let through."""

import pytest

from kvmmu_edu.x86.guest import Instruction
from tests.x86.conftest import GPA


def told(exits):
    return [(exit_.reason, exit_.gpa, exit_.length, exit_.is_write) for exit_ in exits]


def test_a_locked_increment_in_a_hole_reads_and_writes(machine):
    made = machine()
    assert told(made.vcpu.rmw(1 << 32)) == [("MMIO", 1 << 32, 8, False), ("MMIO", 1 << 32, 8, True)]
    assert made.vcpu.stats["mmio_exits"] == 2


def test_in_a_read_only_slot_only_the_write_leaves(machine):
    made = machine(flags=2)
    made.vm.host.write(made.hva, 41)
    assert told(made.vcpu.rmw(GPA)) == [("MMIO", GPA, 8, True)]
    assert made.vm.host.read(made.hva) == 41


def test_no_code_where_there_is_no_memory(machine):
    made = machine()
    exits = []
    made.vcpu.run([Instruction(1 << 32, rdi=7), Instruction(None)], exits)
    assert [(e.reason, e.code, e.suberror, e.rip, e.rdi) for e in exits] == [
        ("INTERNAL_ERROR", 17, 1, 1 << 32, 7)
    ]


def test_lengths_are_those_of_the_access(machine):
    made = machine()
    assert told(made.vcpu.write(1 << 32, 1, 4)) == [("MMIO", 1 << 32, 4, True)]


@pytest.mark.parametrize(
    ("kernel", "work", "faults"),
    [("6.12", "rmw", 1), ("6.1", "rmw", 2), ("6.12", "write", 1), ("6.1", "write", 1)],
)
def test_6_1_tries_again_what_does_not_look_like_a_write_to_a_page_table(
    machine, kernel, work, faults
):
    made = machine(flags=2, kernel=kernel)
    made.vcpu.read(GPA)
    before = dict(made.vcpu.stats)
    assert told(getattr(made.vcpu, work)(GPA)) == [("MMIO", GPA, 8, True)]
    assert made.vcpu.stats["pf_emulate"] - before["pf_emulate"] == faults
    assert made.vcpu.stats["mmio_exits"] - before["mmio_exits"] == 1


def test_a_hole_is_emulated_at_once(machine):
    made = machine(kernel="6.1")
    made.vcpu.rmw(1 << 32)
    assert made.vcpu.stats["pf_taken"] == 1
