"""One page fault: a single object travels, and each stage fills in its part.

=================  =====================================================
filled in by       fields
=================  =====================================================
the CPU            addr, error_code, and what follows from them
the slot lookup    gfn, slot
faultin_pfn        pfn, hva, map_writable, mmu_seq
hugepage adjust    req_level, goal_level, huge_page_disallowed
=================  =====================================================

Kernel: struct kvm_page_fault, arch/x86/kvm/mmu/mmu_internal.h (v6.12)
"""

from typing import TYPE_CHECKING, Final

from kvmmu_edu.units import MAX_HUGEPAGE_LEVEL, PAGES_PER_HPAGE, PG_LEVEL_4K, Gpa, Level
from kvmmu_edu.virt.memory_slot import slot_dirty_track_enabled
from kvmmu_edu.x86.arena import table_of
from kvmmu_edu.x86.slot_arch import arch_of
from kvmmu_edu.x86.spte import is_shadow_present_table

if TYPE_CHECKING:
    from kvmmu_edu.units import Gfn, Hva, Pfn
    from kvmmu_edu.virt.memory_slot import MemorySlot
    from kvmmu_edu.x86.mmu_state import MmuState

PFERR_PRESENT_MASK: Final = 1 << 0
PFERR_WRITE_MASK: Final = 1 << 1
PFERR_USER_MASK: Final = 1 << 2
PFERR_RSVD_MASK: Final = 1 << 3
PFERR_FETCH_MASK: Final = 1 << 4
PFERR_GUEST_FINAL_MASK: Final = 1 << 32
PFERR_GUEST_PAGE_MASK: Final = 1 << 33

#: a frame number that says: no slot
PFN_NOSLOT: Final = -1


class RetPf:
    """What became of a fault.

    Kernel: RET_PF_CONTINUE, arch/x86/kvm/mmu/mmu_internal.h (v6.12)
    In v6.1: there is no WRITE_PROTECTED; EMULATE is returned.
    """

    CONTINUE: Final = 0
    RETRY: Final = 1
    EMULATE: Final = 2
    WRITE_PROTECTED: Final = 3
    INVALID: Final = 4
    FIXED: Final = 5
    SPURIOUS: Final = 6


#: the names, for sentences and tables
RET_PF_NAMES: Final = (
    "continue",
    "retry",
    "emulate",
    "write-protected",
    "invalid",
    "fixed",
    "spurious",
)


class PageFault:
    """A fault on its way.

    :ivar addr: the guest physical address, bytes
    :ivar exec: an instruction fetch
    :ivar write: a write, or the CPU's read of a guest page table, which counts as one
    :ivar present: an SPTE was there but did not allow the access
    :ivar rsvd: the SPTE has reserved bits set: an MMIO SPTE
    :ivar prefetch: not a fault at all: user space asks for the mapping
    :ivar mmu_seq: mmu_invalidate_seq before the pfn was looked up
    :ivar req_level: what could be mapped if instruction fetches did not matter
    :ivar goal_level: what will be mapped

    Kernel: struct kvm_page_fault, arch/x86/kvm/mmu/mmu_internal.h (v6.12)
    """

    # what faultin_pfn fills in; it gives mmu_seq and hva their first values
    mmu_seq: int
    hva: "Hva"
    pfn: "Pfn" = PFN_NOSLOT
    map_writable = False
    # what is decided by mmu_hugepage_adjust
    max_level: Level = MAX_HUGEPAGE_LEVEL
    req_level: Level = PG_LEVEL_4K
    goal_level: Level = PG_LEVEL_4K
    huge_page_disallowed = False

    def __init__(
        self,
        addr: Gpa,
        error_code: int,
        slot: "MemorySlot | None",
        *,
        prefetch: bool = False,
        nx: bool = False,
    ) -> None:
        """Describe a fault at *addr*."""
        self.addr = addr
        self.error_code = error_code
        self.exec = error_code & PFERR_FETCH_MASK != 0
        self.write = error_code & PFERR_WRITE_MASK != 0
        self.present = error_code & PFERR_PRESENT_MASK != 0
        self.rsvd = error_code & PFERR_RSVD_MASK != 0
        self.prefetch = prefetch
        self.nx_huge_page_workaround_enabled = nx
        self.gfn: Gfn = addr >> 12
        self.slot = slot


def requested_pfn(fault: PageFault) -> int:
    """Return the frame that the trace shows for a fault: that of the 4K page itself.

    Where there is no slot the kernel shows an error pfn, with bit 63 set.

    Ours as a function.
    """
    if fault.pfn == PFN_NOSLOT:
        return 1 << 63
    return fault.pfn | (fault.gfn & (PAGES_PER_HPAGE[fault.goal_level] - 1))


def mmu_max_mapping_level(
    mmu: "MmuState", slot: "MemorySlot", gfn: "Gfn", max_level: Level = MAX_HUGEPAGE_LEVEL
) -> Level:
    """Return the largest page that slot and host allow at *gfn*.

    The host is asked first, because that is cheaper here; the kernel asks the slot first.

    Kernel: kvm_mmu_max_mapping_level(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    hva = slot.userspace_addr + ((gfn - slot.base_gfn) << 12)
    host_level = mmu.kvm.mm.mapping_level(hva)
    if host_level == PG_LEVEL_4K:
        return host_level
    return arch_of(slot).lpage_info.max_allowed_level(gfn, min(host_level, max_level))


def mmu_hugepage_adjust(mmu: "MmuState", fault: PageFault) -> None:
    """Decide how large a page the fault may map.

    A slot that is being logged gets small pages, because the log counts small pages.

    Kernel: kvm_mmu_hugepage_adjust(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    fault.huge_page_disallowed = fault.exec and fault.nx_huge_page_workaround_enabled
    slot = fault.slot
    if slot is None or fault.pfn < 0 or slot_dirty_track_enabled(slot):
        return
    level = fault.req_level = mmu_max_mapping_level(mmu, slot, fault.gfn, fault.max_level)
    if level > PG_LEVEL_4K and not fault.huge_page_disallowed:
        fault.goal_level = level
        fault.pfn &= -PAGES_PER_HPAGE[level]


def disallowed_hugepage_adjust(
    mmu: "MmuState", fault: PageFault, spte: int, cur_level: Level
) -> None:
    """Map one level lower if a table that instruction fetches made is in the way.

    Kernel: disallowed_hugepage_adjust(), arch/x86/kvm/mmu/mmu.c (v6.12)
    In v6.1: any table in the way counts, so small pages stay although nothing needs them.
    """
    if cur_level <= PG_LEVEL_4K or cur_level != fault.goal_level:
        return
    if not is_shadow_present_table(spte, cur_level):
        return
    if mmu.kvm.choices.is_6_1 or mmu.arena.nx_huge_page_disallowed[table_of(spte)]:
        fault.pfn |= fault.gfn & (PAGES_PER_HPAGE[cur_level] - PAGES_PER_HPAGE[cur_level - 1])
        fault.goal_level -= 1
