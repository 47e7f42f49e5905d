"""Page tables: the way of a walk, the bits of an entry, tables and pages by level.  Ours."""

from collections import Counter
from typing import Final, NamedTuple

from kvmmu_edu.errors import UsageError
from kvmmu_edu.units import (
    LEVEL_NAMES,
    PAGE_SIZE,
    PAGES_PER_HPAGE,
    PG_LEVEL_2M,
    Gfn,
    Gpa,
    Level,
    gpa_to_gfn,
    size_text,
    spte_index,
)
from kvmmu_edu.virt.memory_slot import MemorySlot
from kvmmu_edu.virt.memslots import id_to_memslot, memslots
from kvmmu_edu.vm import Vm
from kvmmu_edu.x86 import spte as bit
from kvmmu_edu.x86.arena import table_of
from kvmmu_edu.x86.mmu_page import role_as_id, role_is_invalid, role_level
from kvmmu_edu.x86.mmu_state import MmuState, mmu_of
from kvmmu_edu.x86.page_fault import mmu_max_mapping_level
from kvmmu_edu.x86.slot_arch import arch_of
from kvmmu_edu.x86.spte import SpteFormat
from kvmmu_widgets.grid import Grid
from kvmmu_widgets.narrate.context import plural
from kvmmu_widgets.views.spte_runs import describe_spte

#: more 2M pages than this are not listed
_LISTED: Final = 64


class _Entry(NamedTuple):
    """An entry on the way down."""

    level: Level
    table: int
    index: int  # type: ignore[assignment] # tuple.index is not used
    spte: int


def walk(vm: Vm, gpa: Gpa, as_id: int = 0) -> Grid:
    """Return the entries that the CPU meets on its way from the root to *gpa*, in bytes."""
    fmt = mmu_of(vm.kvm).fmt
    rows = [
        (
            entry.level,
            f"table {entry.table}",
            entry.index,
            LEVEL_NAMES[entry.level],
            f"{entry.spte:#x}",
            _says(entry, fmt),
        )
        for entry in _way(vm, gpa_to_gfn(gpa), as_id)
    ]
    columns = ("level", "table", "index", "covers", "SPTE", "says")
    caption = f"The walk for gpa {gpa:#x}" + ("" if rows else ": there is no root yet")
    return Grid(columns, rows, caption)


def _says(entry: _Entry, fmt: SpteFormat) -> str:
    view = describe_spte(entry.spte, entry.level, fmt)
    if view.what == "table":
        return f"go on in table {table_of(entry.spte)}"
    if view.what in LEVEL_NAMES:
        return f"{view}, pfn {bit.spte_to_pfn(entry.spte):#x}"
    if view.what == "MMIO":
        return f"MMIO, slot generation {bit.get_mmio_spte_generation(entry.spte)}"
    return str(view)


def bits(vm: Vm, gpa: Gpa, as_id: int = 0) -> Grid:
    """Return what each field of the last entry on the way to *gpa* says.

    :raises UsageError: there is no root yet
    """
    way = _way(vm, gpa_to_gfn(gpa), as_id)
    if not way:
        raise UsageError("there are no page tables yet; expected a guest that ran")
    entry, fmt = way[-1], mmu_of(vm.kvm).fmt
    caption = (
        f"SPTE {entry.spte:#x}: entry {entry.index} of a table of level {entry.level}, "
        f"{describe_spte(entry.spte, entry.level, fmt).what}"
    )
    if bit.is_mmio_spte(entry.spte, fmt):
        return Grid(("bits", "field", "value", "says"), _mmio_rows(entry.spte, fmt), caption)
    rows = [
        (_position(mask), f"`{name}`", _value(entry.spte, mask), text)
        for mask, name, text in _fields(fmt)
    ]
    return Grid(("bits", "field", "value", "says"), rows, caption)


def _fields(fmt: SpteFormat) -> list[tuple[int, str, str]]:
    """Return mask, name and meaning of the fields of an entry; those that a format has."""
    npt = fmt.shadow_present_mask == bit.PT_PRESENT_MASK
    first = (
        [
            (bit.PT_PRESENT_MASK, "PT_PRESENT_MASK", "the CPU may use the entry"),
            (bit.PT_WRITABLE_MASK, "PT_WRITABLE_MASK", "the CPU may write"),
            (fmt.shadow_user_mask, "shadow_user_mask", "always set: here every access is a user's"),
        ]
        if npt
        else [
            (fmt.shadow_user_mask, "VMX_EPT_READABLE_MASK", "the CPU may read"),
            (bit.PT_WRITABLE_MASK, "PT_WRITABLE_MASK", "the CPU may write"),
            (fmt.shadow_x_mask, "shadow_x_mask", "the CPU may fetch instructions"),
            (fmt.shadow_present_mask, "shadow_present_mask", "faults are for KVM: no #VE"),
        ]
    )
    masks = [
        *first,
        (fmt.shadow_accessed_mask, "shadow_accessed_mask", "used since this was cleared"),
        (fmt.shadow_dirty_mask, "shadow_dirty_mask", "written since this was cleared"),
        (bit.PT_PAGE_SIZE_MASK, "PT_PAGE_SIZE_MASK", "a huge page, not a table"),
        (fmt.shadow_host_writable_mask, "shadow_host_writable_mask", "the host may write"),
        (
            fmt.shadow_mmu_writable_mask,
            "shadow_mmu_writable_mask",
            "may be made writable without mmu_lock",
        ),
        (bit.SPTE_MMU_PRESENT_MASK, "SPTE_MMU_PRESENT_MASK", "KVM installed this; no MMIO"),
        (bit.SPTE_BASE_ADDR_MASK, "SPTE_BASE_ADDR_MASK", "frame number of the page or table"),
        (fmt.shadow_nx_mask, "shadow_nx_mask", "the CPU may not fetch instructions"),
    ]
    return sorted(((m, name, text) for m, name, text in masks if m), key=lambda row: row[0])


def _mmio_rows(spte: int, fmt: SpteFormat) -> list[tuple[str, str, str, str]]:
    generation = bit.get_mmio_spte_generation(spte)
    value = fmt.shadow_mmio_value
    return [
        ("10:3, 62:52", "generation", str(generation), "of the slots when this was made"),
        (
            _position(bit.SPTE_MMU_PRESENT_MASK),
            "`SPTE_MMU_PRESENT_MASK`",
            _value(spte, bit.SPTE_MMU_PRESENT_MASK),
            "no page: the other bits are KVM's own",
        ),
        ("", "`shadow_mmio_value`", f"{value:#x}", "what makes the CPU fault in its own way"),
        ("51:12", "gfn", f"{bit.get_mmio_spte_gfn(spte):#x}", "where there is no memory"),
    ]


def _position(mask: int) -> str:
    low, high = (mask & -mask).bit_length() - 1, mask.bit_length() - 1
    return str(low) if low == high else f"{high}:{low}"


def _value(spte: int, mask: int) -> str:
    low = (mask & -mask).bit_length() - 1
    value = (spte & mask) >> low
    return str(value) if mask == mask & -mask else f"{value:#x}"


def tables(vm: Vm) -> Grid:
    """Return how many tables and pages there are by level, and what the tables weigh."""
    mmu = mmu_of(vm.kvm)
    arena = mmu.arena
    found: Counter[Level] = Counter()
    pages: Counter[Level] = Counter()
    for row in arena.rows().tolist():
        level = role_level(arena.roles[row])
        found[level] += 1
        leaves = bit.is_shadow_present_leaf(arena.spt[row], level)
        pages[level] += int(leaves.sum())
    rows = [
        (level, LEVEL_NAMES[level], found[level], size_text(found[level] * PAGE_SIZE), pages[level])
        for level in sorted(found, reverse=True)
    ]
    counted = mmu.tdp_mmu_pages.read_once()
    total = sum(found.values())
    caption = (
        f"{plural(total, 'page table')}, {total * PAGE_SIZE:,} bytes; "
        f"tdp_mmu_pages, which counts no roots, is {counted}"
    )
    return Grid(("level", "an entry covers", "tables", "weight", "pages mapped"), rows, caption)


def levels(vm: Vm, slot: int = 0) -> Grid:
    """Return for each 2M range of a slot how large a page may be, and how large it is.

    :param slot: its id in address space 0
    :raises UsageError: no such slot, or one of more than 64 such ranges
    """
    found = id_to_memslot(memslots(vm.kvm), slot)
    if found is None:
        raise UsageError(f"there is no slot {slot}; expected the id of one that is there")
    step = PAGES_PER_HPAGE[PG_LEVEL_2M]
    starts = range(found.base_gfn & -step, found.end_gfn, step)
    if len(starts) > _LISTED:
        raise UsageError(f"{len(starts)} ranges of 2 MiB; expected a slot of at most {_LISTED}")
    rows = [_level_row(vm, found, start) for start in starts]
    columns = (
        "2M range at gfn",
        "whole",
        "congruent",
        "disallow_lpage",
        "host page",
        "KVM may map",
        "mapped as",
    )
    return Grid(
        columns, rows, f"Slot {slot}: gfn {found.base_gfn:#x}, hva {found.userspace_addr:#x}"
    )


def _level_row(vm: Vm, slot: MemorySlot, start: Gfn) -> tuple[object, ...]:
    mmu = mmu_of(vm.kvm)
    end = start + PAGES_PER_HPAGE[PG_LEVEL_2M]
    gfn = max(start, slot.base_gfn)
    info = arch_of(slot).lpage_info
    hva = slot.userspace_addr + ((gfn - slot.base_gfn) << 12)
    host = vm.kvm.mm.mapping_level(hva)
    may = mmu_max_mapping_level(mmu, slot, gfn)
    return (
        f"{start:#x}",
        slot.base_gfn <= start and end <= slot.end_gfn,
        info.congruent[PG_LEVEL_2M],
        info.disallow_lpage(gfn, PG_LEVEL_2M),
        LEVEL_NAMES[host] or "4K",
        LEVEL_NAMES[may],
        _mapped(vm, range(gfn, min(end, slot.end_gfn))),
    )


def _mapped(vm: Vm, gfns: range) -> str:
    """Return as what the frames are mapped: the size of their pages, or how many there are."""
    fmt = mmu_of(vm.kvm).fmt
    found: Counter[str] = Counter()
    for gfn in gfns:
        way = _way(vm, gfn, 0)
        if way and bit.is_shadow_present_leaf(way[-1].spte, way[-1].level):
            found[describe_spte(way[-1].spte, way[-1].level, fmt).what] += 1
    if not found:
        return "nothing"
    return ", ".join(f"{n} × 4K" if what == "4K" else what for what, n in sorted(found.items()))


def _way(vm: Vm, gfn: Gfn, as_id: int) -> list[_Entry]:
    """Return the entries from the valid root of an address space down to *gfn*."""
    mmu = mmu_of(vm.kvm)
    table = _root(mmu, as_id)
    way: list[_Entry] = []
    while table:
        level = role_level(mmu.arena.roles[table])
        column = spte_index(gfn, level)
        spte = mmu.arena.read(table, column)
        way.append(_Entry(level, table, column, spte))
        table = table_of(spte) if bit.is_shadow_present_table(spte, level) else 0
    return way


def _root(mmu: MmuState, as_id: int) -> int:
    for root in mmu.roots:
        role = mmu.arena.roles[root]
        if role_as_id(role) == as_id and not role_is_invalid(role):
            return root
    return 0
