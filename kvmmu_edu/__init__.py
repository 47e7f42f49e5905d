"""kvmmu-edu: Linux KVM's x86 MMU as a model that one can run, step through and question."""

from kvmmu_edu.choices import Choices, ModuleParams
from kvmmu_edu.errors import InvariantError, KernelBug, KvmError, UsageError
from kvmmu_edu.vcpu import Vcpu
from kvmmu_edu.vm import Vm
from kvmmu_edu.x86.guest import Guest

__version__ = "0.1.0"

__all__ = [
    "Choices",
    "Guest",
    "InvariantError",
    "KernelBug",
    "KvmError",
    "ModuleParams",
    "UsageError",
    "Vcpu",
    "Vm",
]
