"""What the kernel's memslot_modification_stress_test asserts: the guest never notices."""

from kvmmu_edu import Vm


def test_a_dummy_slot_comes_and_goes_while_vcpus_run():
    vm = Vm()
    hva = vm.host.mmap("memory", "anon4k", 4 << 20)
    dummy = vm.host.mmap("dummy", "anon4k", 4096)
    vm.set_user_memory_region(0, 0, 1 << 30, 4 << 20, hva)
    vcpus = [vm.create_vcpu() for _ in range(4)]
    for turn in range(100):
        vm.set_user_memory_region(7, 0, 4 << 30, 4096, dummy)
        for number, vcpu in enumerate(vcpus):
            gpa = (1 << 30) + ((turn * 7 + number) % 1024) * 4096
            assert vcpu.write(gpa, turn) == []
        vm.set_user_memory_region(7, 0, 0, 0, 0)
        for number, vcpu in enumerate(vcpus):
            gpa = (1 << 30) + ((turn * 7 + number) % 1024) * 4096
            assert vcpu.read(gpa) == []
        if turn % 10 == 0:
            vm.check()
    assert vm.counters.counts["synchronize_srcu"] == 1 + 3 * 100
