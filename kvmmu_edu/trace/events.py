"""Everything that the engine may tell, as values.

Each kind of event is a named tuple.  It owns what it holds (numbers, texts, copies of
arrays), so a trace stays true when the VM goes on, and stepping back is replaying old values
in reverse.  The engine writes ``trace.emit(Kind, value, ...)``: a run that keeps no trace
builds no event.

Memory slots are named by their *serial*: a number for each slot object, 0 for none, because
at times two objects share an id (a slot and its INVALID copy).  Page tables are named by
their *table* number, which is also their row in the arena.

Kernel: arch/x86/kvm/mmu/mmutrace.h, include/trace/events/kvm.h (v6.12)
"""

from enum import Enum
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

#: one entry, or one for each entry of a span
Sptes: TypeAlias = int | NDArray[np.uint64]
#: one table, or the tables of a span
Tables: TypeAlias = int | NDArray[np.int64]


class Cause(Enum):
    """Why an SPTE changed; the text completes "because of ..."."""

    MAP = "a page fault"
    LINK = "a new table"
    ZAP = "a zap"
    FREEZE = "the removal of its table"
    ZAP_FREEZE = "a zap that flushes before others may reuse the entry"
    THAW = "the end of a zap that flushed"
    WRITE_PROTECT = "write protection"
    CLEAR_DIRTY = "clearing of dirty bits"
    SPLIT = "a split"
    SPLIT_CHILD = "being built for a split"
    FAST_FAULT = "a fast page fault"
    AGE = "aging"
    CPU = "the CPU's own use"


# --- operations: what the user asked for ---------------------------------------------------


class OperationBegin(NamedTuple):
    """The user's program does something: an ioctl, a guest access, host work."""

    n: int
    text: str


class OperationEnd(NamedTuple):
    """The operation has ended."""

    n: int


# --- locks and grace periods ---------------------------------------------------------------


class LockAcquired(NamedTuple):
    """A task got a lock; mode is ``lock``, ``read`` or ``write``."""

    lock: str
    mode: str


class LockReleased(NamedTuple):
    """A task gave a lock back."""

    lock: str
    mode: str


class SynchronizeSrcu(NamedTuple):
    """A task waits until no SRCU reader of before is left."""

    caller: str


class RcuCallbackQueued(NamedTuple):
    """Page tables will be freed after a grace period."""

    tables: Tables


# --- memory slots ---------------------------------------------------------------------------


class SlotCreated(NamedTuple):
    """A slot object came to be; gfn and size in pages, hva in bytes."""

    serial: int
    id: int
    as_id: int
    base_gfn: int
    npages: int
    userspace_addr: int
    flags: int


class SlotFreed(NamedTuple):
    """A slot object is gone."""

    serial: int


class SetMemslot(NamedTuple):
    """A change of memory slots begins; change: 0 create, 1 delete, 2 move, 3 flags."""

    as_id: int
    old: int
    new: int
    change: int


class ReplaceMemslot(NamedTuple):
    """In set *node_idx* (the inactive one) a slot takes the place of another."""

    as_id: int
    node_idx: int
    old: int
    new: int


class SwapActiveMemslots(NamedTuple):
    """The other set becomes the active one."""

    as_id: int
    node_idx: int
    generation: int


class GenerationChanged(NamedTuple):
    """The active set got its new generation number."""

    as_id: int
    node_idx: int
    generation: int


class LastUsedSlotChanged(NamedTuple):
    """A set remembers another slot as last used."""

    as_id: int
    node_idx: int
    serial: int


class TreeChanged(NamedTuple):
    """A tree of slots got another shape (kept only when steps are recorded).

    *why* says what was done; *shape* is nested ``(serial, colour, left, right)`` or None.
    """

    tree: str
    as_id: int
    node_idx: int
    why: str
    shape: Any


class ArchPrepareMemoryRegion(NamedTuple):
    """The x86 half prepares for a slot."""

    as_id: int
    serial: int


class ArchFlushShadowMemslot(NamedTuple):
    """The x86 half removes the mappings of a slot that goes away."""

    as_id: int
    serial: int


class ArchCommitMemoryRegion(NamedTuple):
    """The x86 half finishes a change of slots."""

    as_id: int
    serial: int


class MemslotRmapAlloc(NamedTuple):
    """A slot gets its reverse-map arrays; size in bytes as asked for."""

    serial: int
    nbytes: int


class DirtyBitmapAllocated(NamedTuple):
    """A slot gets its dirty bitmap (two of them, in fact); size in bytes."""

    serial: int
    nbytes: int


class PageMarkedDirty(NamedTuple):
    """A page was written: its bit in the slot's bitmap is set."""

    serial: int
    gfn: int


# --- host memory ------------------------------------------------------------------------------


class HostMapped(NamedTuple):
    """The host maps *npages* pages of 4 KiB, one after the other, for the user process.

    hva in bytes; level of the host mapping.
    """

    hva: int
    pfn: int
    level: int
    npages: int
    why: str


class HostProtected(NamedTuple):
    """The host changes what the process may do with a range; half-open, bytes.

    *access* is ``rw``, ``r`` or ``none``.
    """

    start_hva: int
    end_hva: int
    access: str
    why: str


class HostUnmapped(NamedTuple):
    """The host takes pages away from the user process; half-open range, bytes."""

    start_hva: int
    end_hva: int
    why: str


class NotifierInvalidateStart(NamedTuple):
    """An MMU notifier tells KVM that a range of hva is about to change; bytes."""

    start_hva: int
    end_hva: int


class NotifierInvalidateEnd(NamedTuple):
    """The change of that range is over."""

    start_hva: int
    end_hva: int


class NotifierAge(NamedTuple):
    """The host asks whether a range was used lately, and clears the mark."""

    start_hva: int
    end_hva: int


# --- page tables ------------------------------------------------------------------------------


class GetMmuPage(NamedTuple):
    """A page table was made, or found; role is the kernel's role word."""

    table: int
    as_id: int
    gfn: int
    level: int
    role: int
    created: bool


class PrepareZapPage(NamedTuple):
    """Page tables were unlinked and will be freed; gfn is that of the first."""

    table: Tables
    as_id: int
    gfn: int
    level: int
    role: int


class MmuPageFreed(NamedTuple):
    """Page tables went back to the allocator."""

    table: Tables


class RootInvalidated(NamedTuple):
    """A root became invalid: vCPUs must leave it, nobody may enter it."""

    table: int


class SpteChanged(NamedTuple):
    """Entries of page tables changed.

    One entry: *table*, *index*, *old* and *new* are numbers.  A span: *table* is one table
    or an array of tables, *index* a slice of columns, *old* and *new* arrays or one value
    for all.  *gfn* is that of the first entry.  *leaves* says by how much the number of
    mapped pages of this level changed.
    """

    as_id: int
    level: int
    gfn: int
    table: Tables
    index: int | slice  # type: ignore[assignment] # tuple.index is not used
    old: Sptes
    new: Sptes
    cause: Cause
    leaves: int


class FrozenSpteHandled(NamedTuple):
    """The bookkeeping of an entry that was frozen, flushed and emptied before.

    The entry itself changed earlier (causes ``ZAP_FREEZE`` and ``THAW``); *old* is what it
    held before it was frozen.  This is what the kernel traces.
    """

    as_id: int
    level: int
    gfn: int
    table: int
    index: int  # type: ignore[assignment] # tuple.index is not used
    old: int
    new: int
    leaves: int


class PageStatsUpdated(NamedTuple):
    """So many pages of a level were mapped at once by linking a ready table."""

    level: int
    pages: int


class NxHugePageTracked(NamedTuple):
    """A table joined (or left) the list of those that stand in for an NX huge page."""

    table: int
    tracked: bool


class SpteRequested(NamedTuple):
    """The fault handler knows what it wants to map: which page, and how large."""

    gfn: int
    pfn: int
    level: int


class SetSpte(NamedTuple):
    """A leaf was installed for a fault."""

    gfn: int
    spte: int
    level: int
    table: int
    index: int  # type: ignore[assignment] # tuple.index is not used


class MarkMmioSpte(NamedTuple):
    """An entry now says that there is no memory; access bits, slot generation."""

    vcpu: int
    table: int
    index: int  # type: ignore[assignment] # tuple.index is not used
    gfn: int
    access: int
    generation: int


class SplitHugePage(NamedTuple):
    """A huge page was replaced by a table of smaller ones; errno 0 on success."""

    gfn: int
    spte: int
    level: int
    errno: int


class ZapAllFast(NamedTuple):
    """All roots are about to be thrown away."""

    mmu_valid_gen: int
    used_pages: int


# --- faults and vCPUs ---------------------------------------------------------------------------


class GuestAccess(NamedTuple):
    """The guest touches memory: kind ``read``, ``write``, ``exec``; gpa in bytes."""

    vcpu: int
    kind: str
    gpa: int


class PageFaultTaken(NamedTuple):
    """The CPU left the guest because an SPTE did not allow an access."""

    vcpu: int
    rip: int
    address: int
    error_code: int


class PageFaultDone(NamedTuple):
    """The fault was handled; *result* is a value of RetPf, or a negative errno."""

    vcpu: int
    gfn: int
    result: int


class FastPageFault(NamedTuple):
    """A fault was handled without a lock."""

    vcpu: int
    address: int
    error_code: int
    table: int
    index: int  # type: ignore[assignment] # tuple.index is not used
    old: int
    new: int
    spurious: bool
    fixed: bool


class MmioExit(NamedTuple):
    """The access goes to user space: there is no memory, or it may not be written."""

    vcpu: int
    gpa: int
    length: int
    is_write: bool


# --- requests and flushes -------------------------------------------------------------------------


class FlushRemoteTlbs(NamedTuple):
    """A TLB flush of all vCPUs is requested; *npages* 0 means everything."""

    caller: str
    gfn: int
    npages: int
    kicked: int


class VcpuRequest(NamedTuple):
    """A vCPU is asked to do something before it enters the guest again."""

    vcpu: int
    request: str


class VcpuTlbFlush(NamedTuple):
    """A vCPU emptied its TLB; *counted* as KVM's statistic tlb_flush does."""

    vcpu: int
    why: str
    counted: bool


class GuestEntered(NamedTuple):
    """A vCPU runs guest code."""

    vcpu: int


class GuestLeft(NamedTuple):
    """A vCPU runs host code again."""

    vcpu: int
