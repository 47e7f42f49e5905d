"""What the generic half of KVM asks of the x86 half.

``virt`` knows no page tables; where the kernel calls a ``kvm_arch_*`` function it calls a
method of :class:`Arch`, which ``x86`` provides.  So imports only go downward.

Kernel: include/linux/kvm_host.h (v6.12)
"""

from typing import TYPE_CHECKING, NamedTuple, Protocol, Self

if TYPE_CHECKING:
    from kvmmu_edu.units import Gfn
    from kvmmu_edu.virt.kvm import Kvm
    from kvmmu_edu.virt.memory_slot import Change, MemorySlot


class GfnRange(NamedTuple):
    """Pages of one slot that a notifier call is about; half-open, gfn.

    Kernel: struct kvm_gfn_range, include/linux/kvm_host.h (v6.12)
    """

    slot: "MemorySlot"
    start: "Gfn"
    end: "Gfn"
    may_block: bool = True


class ArchMemorySlot(Protocol):
    """What the x86 half keeps in a slot.

    Kernel: struct kvm_arch_memory_slot, arch/x86/include/asm/kvm_host.h (v6.12)
    """

    def copy(self) -> Self:
        """Return a copy as of a struct in C: the same arrays, but pointers of its own."""
        ...


class Arch(Protocol):
    """The x86 half of KVM, as the generic half sees it.

    Kernel: include/linux/kvm_host.h (v6.12)
    """

    async def prepare_memory_region(
        self, kvm: "Kvm", old: "MemorySlot | None", new: "MemorySlot | None", change: "Change"
    ) -> None:
        """Allocate what *new* needs, or raise ``KvmError``.

        Kernel: kvm_arch_prepare_memory_region(), arch/x86/kvm/x86.c (v6.12)
        """
        ...

    async def flush_shadow_memslot(self, kvm: "Kvm", slot: "MemorySlot") -> None:
        """Remove every mapping of *slot*, or of everything.

        Kernel: kvm_arch_flush_shadow_memslot(), arch/x86/kvm/mmu/mmu.c (v6.12)
        """
        ...

    async def commit_memory_region(
        self, kvm: "Kvm", old: "MemorySlot | None", new: "MemorySlot | None", change: "Change"
    ) -> None:
        """Do what follows from the change of slots, dirty logging above all.

        Kernel: kvm_arch_commit_memory_region(), arch/x86/kvm/x86.c (v6.12)
        """
        ...

    async def memslots_updated(self, kvm: "Kvm", generation: int) -> None:
        """Learn the new generation, before it is stored.

        Kernel: kvm_arch_memslots_updated(), arch/x86/kvm/x86.c (v6.12)
        """
        ...

    def free_memslot(self, kvm: "Kvm", slot: "MemorySlot") -> None:
        """Free the x86 data of a slot.

        Kernel: kvm_arch_free_memslot(), arch/x86/kvm/x86.c (v6.12)
        """
        ...

    async def unmap_gfn_range(self, kvm: "Kvm", gfn_range: GfnRange) -> bool:
        """Zap the range; return whether a TLB flush is owed.

        Kernel: kvm_unmap_gfn_range(), arch/x86/kvm/mmu/mmu.c (v6.12)
        """
        ...

    async def age_gfn(self, kvm: "Kvm", gfn_range: GfnRange) -> bool:
        """Clear the accessed marks of the range; return whether there were any.

        Kernel: kvm_age_gfn(), arch/x86/kvm/mmu/mmu.c (v6.12)
        """
        ...

    async def test_age_gfn(self, kvm: "Kvm", gfn_range: GfnRange) -> bool:
        """Return whether the range has an accessed mark.

        Kernel: kvm_test_age_gfn(), arch/x86/kvm/mmu/mmu.c (v6.12)
        """
        ...

    async def flush_shadow_all(self, kvm: "Kvm") -> None:
        """Remove every mapping: the host process is about to go away.

        Kernel: kvm_arch_flush_shadow_all(), arch/x86/kvm/mmu/mmu.c (v6.12)
        """
        ...

    async def sync_dirty_log(self, kvm: "Kvm", slot: "MemorySlot") -> None:
        """Bring what the CPUs have logged by themselves (PML) into the slot's bitmap.

        Kernel: kvm_arch_sync_dirty_log(), arch/x86/kvm/x86.c (v6.12)
        """
        ...

    async def mmu_enable_log_dirty_pt_masked(
        self, kvm: "Kvm", slot: "MemorySlot", gfn_offset: "Gfn", mask: int
    ) -> None:
        """Arrange that the next write to each page of *mask* is seen.

        Kernel: kvm_arch_mmu_enable_log_dirty_pt_masked(), arch/x86/kvm/mmu/mmu.c (v6.12)
        """
        ...
