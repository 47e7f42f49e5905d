"""KVM_ENABLE_CAP: the capabilities of a VM that the generic half knows.

Kernel: kvm_vm_ioctl_enable_cap_generic(), virt/kvm/kvm_main.c (v6.12)
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from kvmmu_edu.errors import KvmError
from kvmmu_edu.virt.dirty_bitmap import DIRTY_LOG_INITIALLY_SET, DIRTY_LOG_MANUAL_PROTECT_ENABLE
from kvmmu_edu.virt.dirty_ring import vm_ioctl_enable_dirty_log_ring

if TYPE_CHECKING:
    from kvmmu_edu.virt.kvm import Kvm

CAP_MANUAL_DIRTY_LOG_PROTECT2: Final = 168
CAP_DIRTY_LOG_RING: Final = 192
CAP_DIRTY_LOG_RING_ACQ_REL: Final = 223
CAP_DIRTY_LOG_RING_WITH_BITMAP: Final = 225


async def vm_ioctl_enable_cap_generic(
    kvm: "Kvm", cap: int, args: Sequence[int], flags: int = 0
) -> bool:
    """Enable a capability; return false if it is none of the generic half's.

    :param args: up to four numbers; missing ones are 0
    :raises KvmError: ``EINVAL`` and what the ring has to say

    Kernel: kvm_vm_ioctl_enable_cap_generic(), virt/kvm/kvm_main.c (v6.12)
    Simplified: of the generic capabilities, those that concern dirty logging.
    """
    arg = args[0] if args else 0
    if cap == CAP_MANUAL_DIRTY_LOG_PROTECT2:
        _enable_manual_dirty_log_protect(kvm, arg, flags)
    elif cap in {CAP_DIRTY_LOG_RING, CAP_DIRTY_LOG_RING_ACQ_REL}:
        async with kvm.lock:
            vm_ioctl_enable_dirty_log_ring(kvm, arg & 0xFFFF_FFFF)
    elif cap == CAP_DIRTY_LOG_RING_WITH_BITMAP:
        raise KvmError("EINVAL", "x86 has no bitmap beside the dirty rings")
    else:
        return False
    return True


def _enable_manual_dirty_log_protect(kvm: "Kvm", arg: int, flags: int) -> None:
    """Let user space clear dirty bits itself; bitmaps may then start with all bits set.

    Kernel: kvm_vm_ioctl_enable_cap_generic(), virt/kvm/kvm_main.c (v6.12)
    """
    allowed = DIRTY_LOG_MANUAL_PROTECT_ENABLE
    if arg & DIRTY_LOG_MANUAL_PROTECT_ENABLE:
        allowed |= DIRTY_LOG_INITIALLY_SET
    if flags or arg & ~allowed:
        raise KvmError(
            "EINVAL",
            f"value {arg:#x}, flags {flags:#x}: expected 0, 1 (manual) or 3 (manual, initially"
            " set) and no flags",
        )
    kvm.manual_dirty_log_protect = arg
