"""Runs that pictures are made of: real ones, of the engine."""

import pytest

from kvmmu_edu import Vm
from kvmmu_edu.choices import Choices
from kvmmu_edu.x86.spte import spte_format

MIB = 1 << 20


@pytest.fixture(scope="session")
def fmt():
    return spte_format(Choices())


@pytest.fixture(scope="session")
def dirty_log_vm():
    """A guest with 2M pages whose slot is logged twice, then deleted and asked for again."""
    vm = Vm(trace="steps", thp="always")
    hva = vm.host.mmap("A", "thp", 8 * MIB)
    vm.set_user_memory_region(0, 0, 0, 8 * MIB, hva)
    vcpu = vm.create_vcpu()
    vcpu.write(0x400000)
    vcpu.read(0x600000)
    vm.set_user_memory_region(0, 1, 0, 8 * MIB, hva)
    vcpu.write(0x401000)
    vm.get_dirty_log(0)
    vcpu.read(0xC0000000)
    vm.set_user_memory_region(0, 0, 0, 8 * MIB, hva)
    vcpu.write(0x401000)
    vm.set_user_memory_region(0, 1, 0, 8 * MIB, hva)
    vm.set_user_memory_region(0, 0, 0, 0, hva)
    vcpu.read(0x401000)
    return vm


def change_slots(vm):
    """Make five slots, log one, move one, delete one."""
    hva = vm.host.mmap("A", "anon4k", 8 * MIB)
    for slot, place in enumerate((0, 3, 1, 4, 2)):
        vm.set_user_memory_region(slot, 0, place * 2 * MIB, MIB, hva + slot * MIB)
    vm.set_user_memory_region(2, 1, 2 * MIB, MIB, hva + 2 * MIB)
    vm.set_user_memory_region(3, 0, 0x10000000, MIB, hva + 3 * MIB)
    vm.set_user_memory_region(0, 0, 0, 0, hva)
    return vm


@pytest.fixture(scope="session")
def slots_vm():
    return change_slots(Vm(trace="steps"))


@pytest.fixture(scope="session")
def slots_vm_without_shapes():
    return change_slots(Vm(trace="events"))


@pytest.fixture(scope="session")
def tables_message(dirty_log_vm):
    from kvmmu_widgets.message import build_message

    return build_message(dirty_log_vm.trace.records, view="tables", title="Dirty logging")


@pytest.fixture(scope="session")
def slots_message(slots_vm):
    from kvmmu_widgets.message import build_message

    return build_message(slots_vm.trace.records, view="slots", title="Slots")
