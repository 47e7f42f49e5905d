"""Sentences about memory slots, host memory, operations and locks.  Ours."""

import re
from collections.abc import Callable
from typing import Any, Final

from kvmmu_edu.trace import events as ev
from kvmmu_edu.units import LEVEL_NAMES, size_text
from kvmmu_widgets.narrate.context import (
    Context,
    Line,
    flags_text,
    generation_text,
    pages_text,
)

_CHANGES: Final = ("creation", "deletion", "move", "change of flags")


def _operation_begin(event: ev.OperationBegin, _context: Context) -> Line:
    return Line(f"The program does: {event.text}.", event.text)


def _operation_end(event: ev.OperationEnd, _context: Context) -> Line:
    return Line(f"Operation {event.n} is over.", "end")


_LOCK_MODES: Final = {"lock": "", "read": " for reading", "write": " for writing"}


def _lock_acquired(event: ev.LockAcquired, _context: Context) -> Line:
    return Line(
        f"The task takes {event.lock}{_LOCK_MODES[event.mode]}.", f"{event.lock}: {event.mode}"
    )


def _lock_released(event: ev.LockReleased, _context: Context) -> Line:
    return Line(f"The task gives {event.lock} back.", f"{event.lock}: free")


def _synchronize_srcu(event: ev.SynchronizeSrcu, _context: Context) -> Line:
    if event.caller == "kvm_swap_active_memslots":
        return Line(
            "The pointer now leads readers to the other set; the task waits until no reader of "
            "before can still be using the old one.",
            "publish, synchronize_srcu",
        )
    return Line(
        f"{event.caller}() waits until every SRCU reader of before has left.", "synchronize_srcu"
    )


def _slot_created(event: ev.SlotCreated, _context: Context) -> Line:
    last = event.base_gfn + event.npages - 1
    return Line(
        f"Slot object #{event.serial} is made for slot {event.id}: "
        f"gfn {event.base_gfn:#x} to {last:#x} ({pages_text(event.npages)}) "
        f"at hva {event.userspace_addr:#x}, {flags_text(event.flags)}.",
        f"new object #{event.serial} for slot {event.id}",
    )


def _slot_freed(event: ev.SlotFreed, context: Context) -> Line:
    return Line(
        f"The object of {context.slot(event.serial)} is freed.", f"object #{event.serial} freed"
    )


def _set_memslot(event: ev.SetMemslot, context: Context) -> Line:
    what = _CHANGES[event.change]
    subject = context.slot(event.old or event.new)
    if event.old and event.new:
        subject = f"{context.slot(event.old)}, which object #{event.new} is to replace,"
    return Line(f"The {what} of {subject} begins.", f"{what} begins")


def _replace_memslot(event: ev.ReplaceMemslot, context: Context) -> Line:
    unused = f"set {event.node_idx}, which no reader uses"
    if not event.old:
        return Line(
            f"{_capital(context.slot(event.new))} is added to {unused}.", f"add #{event.new} to set"
        )
    if not event.new:
        return Line(
            f"{_capital(context.slot(event.old))} is taken out of {unused}.",
            f"remove #{event.old} from set",
        )
    return Line(
        f"{_capital(context.slot(event.new))} takes the place of object #{event.old} in {unused}.",
        f"#{event.old} → #{event.new}",
    )


def _memslots_copied(event: ev.MemslotsCopied, _context: Context) -> Line:
    return Line(
        f"All {event.nslots} slots are copied into set {event.node_idx}, which no reader uses;"
        f" {event.moved} of them move to another place there.",
        f"copy {event.nslots} slots",
    )


def _swap_active_memslots(event: ev.SwapActiveMemslots, _context: Context) -> Line:
    return Line(
        f"Set {event.node_idx} of address space {event.as_id} is about to become the active one; "
        f"its generation is {generation_text(event.generation)} (bit 63), so that nobody keeps "
        "what is looked up now.",
        f"swap to set {event.node_idx}",
    )


def _generation_changed(event: ev.GenerationChanged, _context: Context) -> Line:
    return Line(
        f"The active set {event.node_idx} of address space {event.as_id} gets its new generation "
        f"{generation_text(event.generation)}: what vCPUs cached of the slots is out of date.",
        f"generation {generation_text(event.generation)}",
    )


def _last_used_slot_changed(event: ev.LastUsedSlotChanged, context: Context) -> Line:
    what = context.slot(event.serial) if event.serial else "nothing"
    return Line(f"Set {event.node_idx} remembers {what} as last used.", f"last used: {what}")


#: how the engine writes a slot: number, letters of flags, frames
_SLOT: Final = re.compile(r"(slot \d+)(?: [dr]*)?( INVALID)? \[gfn [^)]*\)")


def _tree_changed(event: ev.TreeChanged, _context: Context) -> Line:
    why = _SLOT.sub(lambda found: found[1] + (found[2] or ""), event.why)
    return Line(f"The {event.tree} of set {event.node_idx}: {why}.", f"{event.tree}: {why}")


def _arch_prepare(event: ev.ArchPrepareMemoryRegion, context: Context) -> Line:
    return Line(
        f"The x86 half prepares what {context.slot(event.serial)} needs: sizes are checked, "
        "per-page arrays are allocated.",
        "arch: prepare",
    )


def _arch_flush(event: ev.ArchFlushShadowMemslot, context: Context) -> Line:
    return Line(
        f"The x86 half removes the mappings of {context.slot(event.serial)}: its slot is INVALID "
        "now, so none can come back.",
        "arch: remove mappings",
    )


def _arch_commit(event: ev.ArchCommitMemoryRegion, context: Context) -> Line:
    return Line(
        f"The x86 half finishes the change of {context.slot(event.serial)}.", "arch: commit"
    )


def _dirty_bitmap_allocated(event: ev.DirtyBitmapAllocated, context: Context) -> Line:
    return Line(
        f"{_capital(context.slot(event.serial))} gets its dirty bitmap and a second one to work "
        f"with: {size_text(event.nbytes)}.",
        f"dirty bitmap: {size_text(event.nbytes)}",
    )


def _page_marked_dirty(event: ev.PageMarkedDirty, context: Context) -> Line:
    return Line(
        f"The page at gfn {event.gfn:#x} is marked dirty in the bitmap "
        f"of {context.slot(event.serial)}.",
        f"{event.gfn:#x} dirty",
    )


def _host_mapped(event: ev.HostMapped, _context: Context) -> Line:
    size = pages_text(event.npages)
    how = f"as {LEVEL_NAMES[event.level]} pages" if event.level > 1 else "as 4K pages"
    return Line(
        f"The host maps {size} at hva {event.hva:#x} {how}, from pfn {event.pfn:#x} on "
        f"({event.why}).",
        f"host maps {event.hva:#x}",
    )


_ACCESS: Final = {
    "rw": "may be read and written",
    "r": "may only be read",
    "none": "may not be used",
}


def _host_protected(event: ev.HostProtected, _context: Context) -> Line:
    return Line(
        f"The host says that hva {event.start_hva:#x} to {event.end_hva - 1:#x} "
        f"{_ACCESS.get(event.access, event.access)} ({event.why}).",
        f"host: {event.access}",
    )


def _host_unmapped(event: ev.HostUnmapped, _context: Context) -> Line:
    return Line(
        f"The host takes hva {event.start_hva:#x} to {event.end_hva - 1:#x} away from the "
        f"process ({event.why}).",
        f"host unmaps {event.start_hva:#x}",
    )


def _range(event: Any) -> str:
    return f"hva {event.start_hva:#x} to {event.end_hva - 1:#x}"


def _invalidate_start(event: ev.NotifierInvalidateStart, _context: Context) -> Line:
    return Line(
        f"An MMU notifier tells KVM that {_range(event)} is about to change: faults there have "
        "to try again until that is over.",
        "notifier: start",
    )


def _invalidate_end(event: ev.NotifierInvalidateEnd, _context: Context) -> Line:
    return Line(
        f"The change of {_range(event)} is over; faults that began before it see another "
        "sequence number and try again.",
        "notifier: end",
    )


def _notifier_age(event: ev.NotifierAge, _context: Context) -> Line:
    return Line(
        f"The host asks whether {_range(event)} was used, and clears the mark.", "notifier: age"
    )


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


TELLERS: Final[dict[type[Any], Callable[[Any, Context], Line]]] = {
    ev.OperationBegin: _operation_begin,
    ev.OperationEnd: _operation_end,
    ev.LockAcquired: _lock_acquired,
    ev.LockReleased: _lock_released,
    ev.SynchronizeSrcu: _synchronize_srcu,
    ev.SlotCreated: _slot_created,
    ev.SlotFreed: _slot_freed,
    ev.SetMemslot: _set_memslot,
    ev.ReplaceMemslot: _replace_memslot,
    ev.MemslotsCopied: _memslots_copied,
    ev.SwapActiveMemslots: _swap_active_memslots,
    ev.GenerationChanged: _generation_changed,
    ev.LastUsedSlotChanged: _last_used_slot_changed,
    ev.TreeChanged: _tree_changed,
    ev.ArchPrepareMemoryRegion: _arch_prepare,
    ev.ArchFlushShadowMemslot: _arch_flush,
    ev.ArchCommitMemoryRegion: _arch_commit,
    ev.DirtyBitmapAllocated: _dirty_bitmap_allocated,
    ev.PageMarkedDirty: _page_marked_dirty,
    ev.HostMapped: _host_mapped,
    ev.HostProtected: _host_protected,
    ev.HostUnmapped: _host_unmapped,
    ev.NotifierInvalidateStart: _invalidate_start,
    ev.NotifierInvalidateEnd: _invalidate_end,
    ev.NotifierAge: _notifier_age,
}
