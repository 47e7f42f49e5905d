"""Capabilities: what user space may ask of this KVM, and switch on.

Kernel: kvm_vm_ioctl_check_extension(), arch/x86/kvm/x86.c; kvm_vm_ioctl_enable_cap(),
    arch/x86/kvm/x86.c (v6.12)
Simplified: only what concerns memory.
"""

from typing import TYPE_CHECKING, Final

from kvmmu_edu.errors import KvmError
from kvmmu_edu.virt.enable_cap import (
    CAP_DIRTY_LOG_RING,
    CAP_MANUAL_DIRTY_LOG_PROTECT2,
    vm_ioctl_enable_cap_generic,
)
from kvmmu_edu.virt.kvm import ADDRESS_SPACE_NUM
from kvmmu_edu.virt.memory_slot import USER_MEM_SLOTS
from kvmmu_edu.x86.mmu_state import mmu_of

if TYPE_CHECKING:
    from kvmmu_edu.virt.kvm import Kvm

CAP_NR_MEMSLOTS: Final = 10
CAP_SYNC_MMU: Final = 16
CAP_READONLY_MEM: Final = 81
CAP_DISABLE_QUIRKS: Final = 116
CAP_MULTI_ADDRESS_SPACE: Final = 118
CAP_DISABLE_QUIRKS2: Final = 213
CAP_VM_DISABLE_NX_HUGE_PAGES: Final = 220
CAP_PRE_FAULT_MEMORY: Final = 236

#: the quirks that may be switched off
_VALID_QUIRKS: Final = {"6.12": 0x7FF, "6.1": 0x7F}
_DIRTY_LOG_MANUAL_CAPS: Final = 3


def check_extension(kvm: "Kvm", cap: int) -> int:
    """Return what KVM says of a capability: 0 for no, else 1 or a number.

    Kernel: kvm_vm_ioctl_check_extension(), arch/x86/kvm/x86.c;
        kvm_vm_ioctl_check_extension_generic(), virt/kvm/kvm_main.c (v6.12)
    """
    new = not kvm.choices.is_6_1
    answers = {
        CAP_NR_MEMSLOTS: USER_MEM_SLOTS,
        CAP_SYNC_MMU: 1,
        CAP_READONLY_MEM: 1,
        CAP_DISABLE_QUIRKS: 1,
        CAP_MULTI_ADDRESS_SPACE: ADDRESS_SPACE_NUM,
        CAP_MANUAL_DIRTY_LOG_PROTECT2: _DIRTY_LOG_MANUAL_CAPS,
        CAP_DIRTY_LOG_RING: 65536 * 16,
        CAP_DISABLE_QUIRKS2: _VALID_QUIRKS[kvm.choices.kernel],
        CAP_VM_DISABLE_NX_HUGE_PAGES: 1,
        CAP_PRE_FAULT_MEMORY: int(new),
    }
    return answers.get(cap, 0)


async def vm_ioctl_enable_cap(kvm: "Kvm", cap: int, args: tuple[int, ...]) -> int:
    """Switch a capability on; return 0.

    :raises KvmError: EINVAL, unknown or with arguments that it does not take
    Kernel: kvm_vm_ioctl_enable_cap(), arch/x86/kvm/x86.c; kvm_vm_ioctl_enable_cap_generic(),
        virt/kvm/kvm_main.c (v6.12)
    """
    if await vm_ioctl_enable_cap_generic(kvm, cap, args):
        return 0
    if cap in {CAP_DISABLE_QUIRKS, CAP_DISABLE_QUIRKS2}:
        _disable_quirks(kvm, cap, args[0] if args else 0)
    elif cap == CAP_VM_DISABLE_NX_HUGE_PAGES:
        await _disable_nx_huge_pages(kvm, args)
    else:
        raise KvmError("EINVAL", f"capability {cap} cannot be switched on")
    return 0


def _disable_quirks(kvm: "Kvm", cap: int, value: int) -> None:
    mmu = mmu_of(kvm)
    valid = _VALID_QUIRKS[kvm.choices.kernel]
    if cap == CAP_DISABLE_QUIRKS2 and value & ~valid:
        raise KvmError("EINVAL", f"quirks {value:#x} are not among {valid:#x}")
    mmu.disabled_quirks |= value & valid


async def _disable_nx_huge_pages(kvm: "Kvm", args: tuple[int, ...]) -> None:
    async with kvm.lock:
        if any(args):
            raise KvmError("EINVAL", "this capability takes no arguments")
        if kvm.vcpus:
            raise KvmError("EINVAL", "it must be set before the first vCPU is made")
        mmu_of(kvm).disable_nx_huge_pages = True
