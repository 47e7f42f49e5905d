"""The host process, by plain calls."""

import pytest

from kvmmu_edu import KvmError, UsageError, Vm


def test_calls_reach_the_memory():
    vm = Vm(hugepages2m=1)
    hva = vm.host.mmap("A", "anon4k", 1 << 20)
    assert vm.host.mapping("A") == (hva, 1 << 20)
    vm.host.write(hva, 7)
    vm.host.touch(hva + 4096, 2)
    vm.host.populate(hva, 1 << 20)
    assert [vm.host.read(hva + i * 4096) for i in range(4)] == [7, 0xA5, 0xA5, 0]
    vm.host.mprotect(hva, 4096, "r")
    vm.host.fork()
    vm.host.madvise(hva + 4096, 4096, "dontneed")
    assert vm.host.read(hva + 4096) == 0
    vm.host.munmap(hva, 1 << 20)
    vm.check()


def test_the_pool_of_huge_pages_ends():
    vm = Vm(hugepages2m=1)
    vm.host.mmap("A", "huge2m", 2 << 20)
    with pytest.raises(KvmError, match="ENOMEM"):
        vm.host.mmap("B", "huge2m", 2 << 20)


def test_values_and_sizes_are_checked():
    vm = Vm()
    hva = vm.host.mmap("A", "anon4k", 1 << 20)
    vm.host.write(hva, -1)
    assert vm.host.read(hva) == (1 << 64) - 1
    with pytest.raises(UsageError, match="fits into 2 bytes"):
        vm.host.write(hva, 1 << 16, 2)
    with pytest.raises(UsageError, match="nbytes"):
        vm.host.read(hva, -8)
    with pytest.raises(UsageError, match="nbytes"):
        vm.host.mmap("B", "anon4k", -4096)
