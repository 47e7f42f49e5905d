"""The simulated CPU: it walks page tables, sets accessed and dirty bits, and faults.

A guest access first reads the guest's own tables, if it has any, each entry through the
nested tables; then the page itself.  The CPU reads guest tables as if it wrote them, because
it may have to set bits there.

Ours: hardware, described in the processors' manuals.
"""

from typing import TYPE_CHECKING, Final

from kvmmu_edu.errors import KernelBug, UsageError
from kvmmu_edu.trace.events import Cause, GuestAccess
from kvmmu_edu.units import PAGES_PER_HPAGE, SPTE_LEVEL_BITS, Gpa, Level, Pfn, spte_index
from kvmmu_edu.x86.arena import TABLE_PFN_BASE
from kvmmu_edu.x86.guest import Access, Guest
from kvmmu_edu.x86.mmu_page import role_as_id
from kvmmu_edu.x86.mmu_state import MmuState
from kvmmu_edu.x86.page_fault import (
    PFERR_FETCH_MASK,
    PFERR_GUEST_FINAL_MASK,
    PFERR_GUEST_PAGE_MASK,
    PFERR_PRESENT_MASK,
    PFERR_RSVD_MASK,
    PFERR_USER_MASK,
    PFERR_WRITE_MASK,
)
from kvmmu_edu.x86.spte import (
    PT_PAGE_SIZE_MASK,
    PT_PRESENT_MASK,
    PT_WRITABLE_MASK,
    is_executable_pte,
)
from kvmmu_edu.x86.spte_gate import change_quietly
from kvmmu_edu.x86.tdp_iter import Span
from kvmmu_edu.x86.tlb import Tlb

if TYPE_CHECKING:
    from kvmmu_edu.virt.vcpu import KvmVcpu

_LONG64_LEVELS: Final = 4
_GUEST_PRESENT: Final = 1
_GUEST_LARGE: Final = 0x80
_GUEST_FRAME: Final = 0x000F_FFFF_FFFF_F000

#: how far to shift a gfn for its index in a table of level 4
_TOP_SHIFT: Final = 27
_EPT_RWX: Final = 7
#: the bits of a frame number, after the shift
_FRAME_BITS: Final = 0xFF_FFFF_FFFF

#: what a walk through a stale entry of the paging-structure cache proves
_FLUSH_IS_MISSING: Final = "a flush is missing, or comes too late"

# reading a member of an Enum costs as much as a call
_CPU: Final = Cause.CPU

_READ: Final = PFERR_GUEST_FINAL_MASK | PFERR_USER_MASK
_WRITE: Final = _READ | PFERR_WRITE_MASK
_FETCH: Final = _READ | PFERR_FETCH_MASK
#: ours: of an access that loads before it stores
_LOADS_FIRST: Final = 1 << 62
_WANTED: Final = {"read": _READ, "write": _WRITE, "rmw": _WRITE | _LOADS_FIRST}
_TABLE: Final = PFERR_GUEST_PAGE_MASK | PFERR_USER_MASK | PFERR_WRITE_MASK


class Cpu:
    """One CPU, as far as memory is concerned.

    :ivar guest: how its guest's addresses are translated
    :ivar tlb: what it remembers
    :ivar fault_gpa: where the last access failed, bytes
    :ivar fault_error_code: and why
    """

    __slots__ = (
        "_mmio_mask",
        "_mmio_value",
        "_present",
        "_used_by_read",
        "_used_by_write",
        "fault_error_code",
        "fault_gpa",
        "guest",
        "mmu",
        "tlb",
        "vcpu",
    )

    def __init__(self, vcpu: "KvmVcpu", mmu: MmuState, guest: Guest, tlb: Tlb) -> None:
        """Make the CPU of *vcpu*."""
        self.vcpu = vcpu
        self.mmu = mmu
        self.guest = guest
        self.tlb = tlb
        self.fault_gpa: Gpa = 0
        self.fault_error_code = 0
        # what the CPU looks at and sets, from the format of the entries
        fmt = mmu.fmt
        self._present = PT_PRESENT_MASK if mmu.kvm.choices.paging == "npt" else _EPT_RWX
        self._mmio_mask, self._mmio_value = fmt.shadow_mmio_mask, fmt.shadow_mmio_value
        self._used_by_read = fmt.shadow_accessed_mask
        self._used_by_write = fmt.shadow_accessed_mask | fmt.shadow_dirty_mask

    def fetch(self, rip: int) -> bool:
        """Fetch an instruction; return false if that faults."""
        gpa = self.to_gpa(rip)
        return gpa >= 0 and self._translate(gpa, _FETCH) >= 0

    def access(self, access: Access) -> bool:
        """Do one data access; return false if it faults."""
        kind, gva, size, value = access
        gpa = self.to_gpa(gva)
        pfn = self._translate(gpa, _WANTED[kind]) if gpa >= 0 else -1
        if pfn < 0:
            return False
        kvm = self.mmu.kvm
        if kind == "rmw":
            value = kvm.mm.load(pfn, gpa & 0xFFF, size) + (value or 1) & (1 << 8 * size) - 1
        if kind != "read":
            kvm.mm.store(pfn, gpa & 0xFFF, value, size)
        if kvm.trace.keeps_events:
            kvm.trace.emit(GuestAccess, self.vcpu.vcpu_id, kind, gpa)
        return True

    def to_gpa(self, gva: int) -> Gpa:
        """Translate a guest virtual address through the guest's tables; -1 on a fault.

        :raises UsageError: the guest's own tables do not map the address
        """
        if self.guest.paging != "long64":
            return gva
        table = self.guest.cr3
        for level in range(_LONG64_LEVELS, 0, -1):
            shift = 12 + 9 * (level - 1)
            entry_gpa = table + ((gva >> shift) & 511) * 8
            pfn = self._translate(entry_gpa, _TABLE)
            if pfn < 0:
                return -1
            entry = self.mmu.kvm.mm.load(pfn, entry_gpa & 0xFFF, 8)
            if not entry & _GUEST_PRESENT:
                msg = f"the guest's page tables do not map {gva:#x} (level {level})"
                raise UsageError(msg)
            table = entry & _GUEST_FRAME
            if level == 1 or entry & _GUEST_LARGE:
                low = (1 << shift) - 1
                return (table & ~low) | (gva & low)
        raise AssertionError

    def _translate(self, gpa: Gpa, wanted: int) -> Pfn:
        """Return the host frame behind *gpa*, or -1 and leave why in the fault fields."""
        gfn = gpa >> 12
        known = self.tlb.lookup(gfn)
        if known is not None:
            spte, level = known
            clean = wanted & PFERR_WRITE_MASK and not spte & self.mmu.fmt.shadow_dirty_mask
            if not clean and self._allows(spte, wanted):
                return _frame(spte, level, gfn)
        try:
            return self._walk(gpa, wanted)
        except IndexError as error:
            msg = f"{self._walks_to(gfn)} memory that holds no page table: {_FLUSH_IS_MISSING}"
            raise KernelBug(msg) from error

    def _walks_to(self, gfn: int) -> str:
        return f"vCPU {self.vcpu.vcpu_id} walks to gfn {gfn:#x} through"

    def _walk(self, gpa: Gpa, wanted: int) -> Pfn:  # noqa: C901 - hot
        """Walk the nested tables to the leaf; set accessed and dirty bits there.

        The walk begins at the root, or at the lowest table that the CPU remembers.
        """
        words, present, tlb = self.mmu.arena.words, self._present, self.tlb
        gfn, table, shift = gpa >> 12, self.vcpu.arch.root, _TOP_SHIFT
        known = tlb.tables.get(gfn >> SPTE_LEVEL_BITS)
        if known:
            table, shift = known, 0
        else:
            known = tlb.directories.get(gfn >> 2 * SPTE_LEVEL_BITS)
            if known:
                table, shift = known, SPTE_LEVEL_BITS
        if known and not self.mmu.arena.live[known]:
            msg = f"{self._walks_to(gfn)} page table {known}, which was freed: {_FLUSH_IS_MISSING}"
            raise KernelBug(msg)
        above = 0
        while True:
            spte = words[table << SPTE_LEVEL_BITS | gfn >> shift & 511]
            if not spte & present:
                return self._fault(gpa, wanted, 0)
            if not shift or spte & PT_PAGE_SIZE_MASK:
                break
            above, table = table, (spte >> 12 & _FRAME_BITS) - TABLE_PFN_BASE
            shift -= SPTE_LEVEL_BITS
        if spte & self._mmio_mask == self._mmio_value:
            return self._fault(gpa, wanted, PFERR_RSVD_MASK)
        if not self._allows(spte, wanted):
            return self._fault(gpa, wanted, PFERR_PRESENT_MASK)
        level = shift // SPTE_LEVEL_BITS + 1
        used = spte | (self._used_by_write if wanted & PFERR_WRITE_MASK else self._used_by_read)
        if used != spte:
            self._set_used(table, level, gfn, spte, used)
        tlb.insert(gfn, level, used)
        if above and not tlb.empty_at_entry:
            tlb.remember_tables(gfn, level, table, above)
        return _frame(used, level, gfn)

    def _set_used(self, table: int, level: Level, gfn: int, old: int, new: int) -> None:
        base, index = gfn & -PAGES_PER_HPAGE[level], spte_index(gfn, level)
        span = Span(table, index, base, level, role_as_id(self.mmu.arena.roles[table]))
        change_quietly(self.mmu, span, old=old, new=new, cause=_CPU)

    def _allows(self, spte: int, wanted: int) -> bool:
        if wanted & PFERR_WRITE_MASK:
            return bool(spte & PT_WRITABLE_MASK)
        if wanted & PFERR_FETCH_MASK:
            return bool(is_executable_pte(spte, self.mmu.fmt))
        return bool(spte & PT_PRESENT_MASK)

    def _fault(self, gpa: Gpa, wanted: int, why: int) -> Pfn:
        """Note that an access failed, because of what the bits of *why* say; return -1."""
        if wanted & _LOADS_FIRST:
            # where there is no page, it is the load that fails
            wanted &= ~_LOADS_FIRST if why == PFERR_PRESENT_MASK else _READ
        self.tlb.forget_tables(gpa >> 12)
        self.fault_gpa, self.fault_error_code = gpa, wanted | why
        return -1


def _frame(spte: int, level: Level, gfn: int) -> Pfn:
    return (spte >> 12 & _FRAME_BITS) | (gfn & (PAGES_PER_HPAGE[level] - 1))
