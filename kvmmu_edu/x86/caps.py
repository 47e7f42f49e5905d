"""Capabilities of a VM that are switched on: quirks, NX huge pages.

Kernel: kvm_vm_ioctl_enable_cap(), arch/x86/kvm/x86.c (v6.12)
Simplified: only what concerns memory.
"""

from typing import TYPE_CHECKING, Final

from kvmmu_edu.errors import KvmError
from kvmmu_edu.virt.enable_cap import vm_ioctl_enable_cap_generic
from kvmmu_edu.x86.check_extension import CAP_DISABLE_QUIRKS2, VALID_QUIRKS
from kvmmu_edu.x86.mmu_state import mmu_of

if TYPE_CHECKING:
    from kvmmu_edu.virt.kvm import Kvm

CAP_DISABLE_QUIRKS: Final = 116
CAP_VM_DISABLE_NX_HUGE_PAGES: Final = 220


async def vm_ioctl_enable_cap(kvm: "Kvm", cap: int, args: tuple[int, ...]) -> int:
    """Switch a capability on; return 0.

    :raises KvmError: EINVAL, unknown or with arguments that it does not take; EPERM, NX huge
        pages are to be switched off by a process that may not reboot the machine
    Kernel: kvm_vm_ioctl_enable_cap(), arch/x86/kvm/x86.c; kvm_vm_ioctl_enable_cap_generic(),
        virt/kvm/kvm_main.c (v6.12)
    """
    if await vm_ioctl_enable_cap_generic(kvm, cap, args):
        return 0
    arg = args[0] if args else 0
    if cap in {CAP_DISABLE_QUIRKS, CAP_DISABLE_QUIRKS2}:
        async with kvm.lock:
            _disable_quirks(kvm, cap, arg)
    elif cap == CAP_VM_DISABLE_NX_HUGE_PAGES:
        await _disable_nx_huge_pages(kvm, arg)
    else:
        raise KvmError("EINVAL", f"capability {cap} cannot be switched on")
    return 0


def _disable_quirks(kvm: "Kvm", cap: int, quirks: int) -> None:
    """Switch quirks off.

    In v6.1: those that are not named are switched on again; the older of the two capabilities
        takes any bits, and bits that mean nothing are kept.
    """
    mmu = mmu_of(kvm)
    valid = VALID_QUIRKS[kvm.choices.kernel]
    if cap == CAP_DISABLE_QUIRKS2 and quirks & ~valid:
        raise KvmError("EINVAL", f"quirks {quirks:#x} are not among {valid:#x}")
    if kvm.choices.is_6_1:
        mmu.disabled_quirks = quirks
    else:
        mmu.disabled_quirks |= quirks & valid


async def _disable_nx_huge_pages(kvm: "Kvm", arg: int) -> None:
    """Let huge pages of this VM be executable, whatever the module parameter says."""
    if not kvm.capable_sys_boot:
        raise KvmError("EPERM", "a guest could crash the host: this needs CAP_SYS_BOOT")
    if arg:
        raise KvmError("EINVAL", "this capability takes no arguments")
    async with kvm.lock:
        if kvm.vcpus:
            raise KvmError("EINVAL", "it must be set before the first vCPU is made")
        mmu_of(kvm).disable_nx_huge_pages = True
