import pytest

from kvmmu_edu import KvmError, UsageError, Vm
from kvmmu_edu.units import MIB
from kvmmu_widgets import look, runs


def by_name(grid):
    return dict(zip(grid["counter"], grid["by"], strict=True))


def test_what_the_last_operation_moved():
    grid = look.moved(runs.read_then_write())
    assert grid.caption == "What moved: write 0x200000"
    found = by_name(grid)
    assert found == {
        "remote_tlb_flush_requests": "+1",
        "v0.pf_taken": "+2",
        "v0.pf_fixed": "+1",
        "v0.tlb_flush": "+1",
    }
    assert all(grid["counts"])


def test_since_an_earlier_operation_and_with_locks():
    vm = runs.read_then_write()
    assert by_name(look.moved(vm, since=1))["pages_4k"] == "+1"
    assert look.moved(vm, since=1).caption == "What moved: 4 operations"
    assert "lock.mmu_lock.write" in by_name(look.moved(vm, locks=True))


def test_nothing_moved():
    vm = runs.machine()
    vm.host.mmap("B", "anon4k", 4096)
    assert look.moved(vm).caption == "What moved: mmap B: nothing"


def test_faults_of_a_page_that_is_copied():
    grid = look.faults(runs.read_then_write())
    assert grid["access"] == ["read", "write", "write"]
    assert grid["the entry"] == ["missing", "does not allow it", "missing"]
    assert grid["result"] == ["RET_PF_FIXED", "RET_PF_RETRY", "RET_PF_FIXED"]
    assert grid["wants"] == ["4K", "-", "4K"]
    assert len(look.faults(runs.read_then_write(), since=-1)) == 2


def test_faults_where_no_memory_is():
    vm = runs.machine()
    for _ in (1, 2):
        vm.vcpus[0].read(16 * MIB)
    grid = look.faults(vm)
    assert grid["result"] == ["RET_PF_EMULATE", "emulated at once: the MMIO entry is valid"]
    assert grid["counted as"] == ["pf_taken, pf_emulate", "-"]


def test_faults_that_end_with_an_errno():
    vm = runs.machine()
    vm.host.mprotect(runs.ram(vm), 4096, "none")
    with pytest.raises(KvmError, match="EFAULT"):
        vm.vcpus[0].read(MIB)
    assert look.faults(vm)["result"] == ["errno 14"]


def test_fetches_and_no_fault_at_all():
    assert look.faults(runs.first_access("exec"))["access"] == ["fetch"]
    assert look.faults(runs.machine()).caption == "No fault"


def test_a_vm_that_kept_nothing():
    with pytest.raises(UsageError, match='trace="steps"'):
        look.faults(Vm())
