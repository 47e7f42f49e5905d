"""One line of each operation, and what it becomes."""

import pytest

from kvmmu_edu.errors import UsageError
from kvmmu_edu.scenario import operations as op
from kvmmu_edu.scenario.arguments import HostAddress
from kvmmu_edu.scenario.grammar import VERBS
from kvmmu_edu.scenario.language import parse_scenario

A = HostAddress("A", 0)

EXAMPLES = {
    "slot 0 0x400000 8M rd A+4K": op.Slot(0, 0x400000, 8 << 20, 3, HostAddress("A", 4096)),
    "delete 0x10000": op.Delete(0x10000),
    "move 1 0x240000": op.Move(1, 0x240000),
    "flags 0 d": op.Flags(0, 1),
    "read 0x400000": op.GuestAccesses("read", 0x400000, 1, 4096),
    "write 0x400000 64 2M": op.GuestAccesses("write", 0x400000, 64, 2 << 20),
    "rmw 0x402000 20000000 0": op.GuestAccesses("rmw", 0x402000, 20000000, 0),
    "exec 0x402000 2": op.GuestAccesses("exec", 0x402000, 2, 4096),
    "l2read 0x400000 2": op.GuestAccesses("l2read", 0x400000, 2, 4096),
    "l2write 0x400000": op.GuestAccesses("l2write", 0x400000, 1, 4096),
    "writev 0xd0004008 0x402063": op.GuestStore(0xD0004008, 0x402063),
    "invlpg 0x401000": op.Invlpg(0x401000),
    "cr3": op.ReloadCr3(),
    "gmap 0x10000000 0x400000 64K 4k": op.MapInGuest(0x10000000, 0x400000, 65536, "4k", 0x63),
    "gmap 0 0 1G 1g 0x67": op.MapInGuest(0, 0, 1 << 30, "1g", 0x67),
    "gpte 0x400000 2": op.GuestPte(0x400000, 2),
    "join v1": op.Join(1),
    "dirty-get 0": op.DirtyGet(0, 0),
    "dirty-get 9 64": op.DirtyGet(9, 64),
    "dirty-clear 0 0 64": op.DirtyClear(0, 0, 64, "all"),
    "dirty-clear 0 512 512 last": op.DirtyClear(0, 512, 512, "last"),
    "ring 0": op.Ring(0),
    "ringreset": op.RingReset(),
    "prefault 0x100000 64K": op.Prefault(0x100000, 65536),
    "mem A anon4k 8M": op.Mem("A", "anon4k", 8 << 20, 0, 0),
    "mem B thp 8M 2M 4K": op.Mem("B", "thp", 8 << 20, 2 << 20, 4096),
    "hostwrite A 16 2M": op.HostAccesses("write", A, 16, 2 << 20),
    "hostread A+4K": op.HostAccesses("read", HostAddress("A", 4096), 1, 4096),
    "hostpeek A": op.HostPeek(A),
    "madvise A 4M dontneed": op.Madvise(A, 4 << 20, "dontneed"),
    "madvise A 256K 12": op.Madvise(A, 262144, "mergeable"),
    "mprotect A 8K none": op.Mprotect(A, 8192, "none"),
    "munmap A 4K": op.Munmap(A, 4096),
    "fork": op.Fork(),
    "smaps A": op.Smaps("A"),
    "sh cat /proc/version": op.Shell(("cat", "/proc/version")),
    "param kvm/nx_huge_pages": op.Param("kvm/nx_huge_pages", ""),
    "param kvm/nx_huge_pages force": op.Param("kvm/nx_huge_pages", "force"),
    "cap 168 1": op.Cap(168, (1,)),
    "checkcap 10": op.CheckCap(10),
    "maxmmu 64": op.MaxMmu(64),
    "rmaps": op.Rmaps(),
    "stats": op.Stats(),
    "sleep 1200": op.Sleep(1200),
    "par v0 read 0x1000 | v1 exec 0x2000": op.Par(
        (
            op.OnVcpu(0, op.GuestAccesses("read", 0x1000)),
            op.OnVcpu(1, op.GuestAccesses("exec", 0x2000)),
        )
    ),
    "bg v1 rmw 0x400000 60 0": op.Background(
        op.OnVcpu(1, op.GuestAccesses("rmw", 0x400000, 60, 0))
    ),
}


@pytest.mark.parametrize(("line", "operation"), EXAMPLES.items(), ids=EXAMPLES)
def test_a_line_becomes_its_operation(line, operation):
    [statement] = parse_scenario(line).operations
    assert statement.operation == operation


def test_there_is_an_example_of_each():
    words = {line.split()[0] for line in EXAMPLES}
    assert words >= {name for name, verb in VERBS.items() if not verb.kind.is_header}


@pytest.mark.parametrize("line", ["dirty-get 0 0x80000000", "dirty-clear 0 0 0x80000000"])
def test_no_slot_has_so_many_pages(line):
    with pytest.raises(UsageError, match="expected fewer than 2\\^31"):
        parse_scenario(line)
