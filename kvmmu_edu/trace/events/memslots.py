"""Memory slots: how sets and trees change.

Ours, where a class names no tracepoint.
"""

from typing import Any, NamedTuple


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


class MemslotsCopied(NamedTuple):
    """The array of all slots of a set was copied, and in the copy *moved* of them moved.

    Only where slots are in an array, as before Linux 5.17.
    """

    as_id: int
    node_idx: int
    nslots: int
    moved: int


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


class DirtyBitmapAllocated(NamedTuple):
    """A slot gets its dirty bitmap (two of them, in fact); size in bytes."""

    serial: int
    nbytes: int


class PageMarkedDirty(NamedTuple):
    """A page was written: its bit in the slot's bitmap is set."""

    serial: int
    gfn: int
