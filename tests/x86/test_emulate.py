"""What KVM does itself when an instruction cannot be let through."""

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
