"""From a guest frame to the host address behind it, or to why there is none.

Kernel: __gfn_to_hva_many(), virt/kvm/kvm_main.c (v6.12)
"""

from typing import TYPE_CHECKING, Final

from kvmmu_edu.units import PAGE_SHIFT, PAGE_SIZE, Gfn, Hva
from kvmmu_edu.virt.gfn_tree import gfn_to_memslot, vcpu_gfn_to_memslot
from kvmmu_edu.virt.memory_slot import MEMSLOT_INVALID, memslot_is_readonly

if TYPE_CHECKING:
    from kvmmu_edu.virt.kvm import Kvm
    from kvmmu_edu.virt.memory_slot import MemorySlot
    from kvmmu_edu.virt.vcpu import KvmVcpu

#: where the kernel's own addresses begin; no user address can be mistaken for an error
PAGE_OFFSET: Final = 0xFFFF_8880_0000_0000
#: there is no slot, or it is on its way out
HVA_ERR_BAD: Final = PAGE_OFFSET
#: the slot may not be written
HVA_ERR_RO_BAD: Final = PAGE_OFFSET + PAGE_SIZE


def is_error_hva(hva: Hva) -> bool:
    """Return whether *hva* is one of the errors above.

    Kernel: kvm_is_error_hva(), include/linux/kvm_host.h (v6.12)
    """
    return hva >= PAGE_OFFSET


def _gfn_to_hva_many(slot: "MemorySlot | None", gfn: Gfn, *, write: bool) -> Hva:
    """Return the host address of *gfn*, in bytes, or an error.

    Kernel: __gfn_to_hva_many(), virt/kvm/kvm_main.c (v6.12)
    """
    if slot is None or slot.flags & MEMSLOT_INVALID:
        return HVA_ERR_BAD
    if write and memslot_is_readonly(slot):
        return HVA_ERR_RO_BAD
    return _gfn_to_hva_memslot(slot, gfn)


def _gfn_to_hva_memslot(slot: "MemorySlot", gfn: Gfn) -> Hva:
    """Return the host address of *gfn*, which *slot* is known to contain.

    Kernel: __gfn_to_hva_memslot(), include/linux/kvm_host.h (v6.12)
    Simplified: the kernel bounds the offset against speculation.
    """
    return slot.userspace_addr + ((gfn - slot.base_gfn) << PAGE_SHIFT)


def gfn_to_hva_memslot(slot: "MemorySlot | None", gfn: Gfn) -> Hva:
    """Return the host address of *gfn* for writing, or an error.

    Kernel: gfn_to_hva_memslot(), virt/kvm/kvm_main.c (v6.12)
    """
    return _gfn_to_hva_many(slot, gfn, write=True)


def gfn_to_hva_memslot_prot(slot: "MemorySlot | None", gfn: Gfn) -> tuple[Hva, bool]:
    """Return the host address of *gfn* for reading, or an error, and whether one may write.

    Kernel: gfn_to_hva_memslot_prot(), virt/kvm/kvm_main.c (v6.12)
    """
    hva = _gfn_to_hva_many(slot, gfn, write=False)
    return hva, slot is not None and not is_error_hva(hva) and not memslot_is_readonly(slot)


def gfn_to_hva(kvm: "Kvm", gfn: Gfn) -> Hva:
    """Return the host address of a frame of address space 0 for writing, or an error.

    Locks: srcu.
    Kernel: gfn_to_hva(), virt/kvm/kvm_main.c (v6.12)
    """
    return gfn_to_hva_memslot(gfn_to_memslot(kvm, gfn), gfn)


def vcpu_gfn_to_hva(vcpu: "KvmVcpu", gfn: Gfn) -> Hva:
    """Return the host address of a frame as *vcpu* sees it for writing, or an error.

    Locks: srcu.
    Kernel: kvm_vcpu_gfn_to_hva(), virt/kvm/kvm_main.c (v6.12)
    """
    return gfn_to_hva_memslot(vcpu_gfn_to_memslot(vcpu, gfn), gfn)
