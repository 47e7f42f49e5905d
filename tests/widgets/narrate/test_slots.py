"""Sentences about slots, the host, operations and locks, word for word."""

import pytest

from kvmmu_edu.choices import Choices
from kvmmu_edu.trace import events as ev
from kvmmu_widgets.narrate import Narrator

SLOT = ev.SlotCreated(3, 7, 0, 0x100, 256, 0x7F0000000000, 1)
COPY = SLOT._replace(serial=4, flags=1 << 16)


def told(*events):
    narrator = Narrator(Choices())
    return [narrator.tell(event) for event in (SLOT, COPY, *events)][-1].text


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (
            SLOT,
            (
                "Slot object #3 is made for slot 7: gfn 0x100 to 0x1ff (1 MiB) at hva "
                "0x7f0000000000, LOG_DIRTY_PAGES."
            ),
        ),
        (ev.SlotFreed(3), "The object of slot 7 (#3) is freed."),
        (ev.SetMemslot(0, 0, 3, 0), "The creation of slot 7 (#3) begins."),
        (ev.SetMemslot(0, 3, 0, 1), "The deletion of slot 7 (#3) begins."),
        (
            ev.SetMemslot(0, 3, 4, 3),
            "The change of flags of slot 7 (#3), which object #4 is to replace, begins.",
        ),
        (
            ev.ReplaceMemslot(0, 1, 0, 3),
            "Slot 7 (#3) is added to set 1, which no reader uses.",
        ),
        (
            ev.ReplaceMemslot(0, 1, 3, 0),
            "Slot 7 (#3) is taken out of set 1, which no reader uses.",
        ),
        (
            ev.ReplaceMemslot(0, 1, 3, 4),
            "Slot 7 (#4) takes the place of object #3 in set 1, which no reader uses.",
        ),
        (
            ev.SwapActiveMemslots(0, 1, 1 << 63 | 4),
            (
                "Set 1 of address space 0 is about to become the active one; its generation is 4, "
                "update in progress (bit 63), so that nobody keeps what is looked up now."
            ),
        ),
        (
            ev.SynchronizeSrcu("kvm_swap_active_memslots"),
            (
                "The pointer now leads readers to the other set; the task waits until no reader of "
                "before can still be using the old one."
            ),
        ),
        (
            ev.SynchronizeSrcu("somebody"),
            "somebody() waits until every SRCU reader of before has left.",
        ),
        (
            ev.GenerationChanged(0, 1, 6),
            (
                "The active set 1 of address space 0 gets its new generation 6: what vCPUs cached "
                "of the slots is out of date."
            ),
        ),
        (ev.LastUsedSlotChanged(0, 1, 3), "Set 1 remembers slot 7 (#3) as last used."),
        (ev.LastUsedSlotChanged(0, 1, 0), "Set 1 remembers nothing as last used."),
        (
            ev.TreeChanged("gfn_tree", 0, 1, "erased slot 7 dr INVALID [gfn 0x1, 0x2)", None),
            "The gfn_tree of set 1: erased slot 7 INVALID.",
        ),
        (
            ev.TreeChanged(
                "hva_tree", 0, 1,
                "replaced slot 7 d [gfn 0x1, 0x2) by slot 7  INVALID [gfn 0x1, 0x2)", None,
            ),
            "The hva_tree of set 1: replaced slot 7 by slot 7 INVALID.",
        ),
        (
            ev.DirtyBitmapAllocated(3, 64),
            "Slot 7 (#3) gets its dirty bitmap and a second one to work with: 64 B.",
        ),
        (
            ev.PageMarkedDirty(3, 0x101),
            "The page at gfn 0x101 is marked dirty in the bitmap of slot 7 (#3).",
        ),
        (
            ev.HostMapped(0x7F0000000000, 0x200000, 2, 512, "a write"),
            (
                "The host maps 2 MiB at hva 0x7f0000000000 as 2M pages, from pfn 0x200000 on (a "
                "write)."
            ),
        ),
        (
            ev.HostUnmapped(0x1000, 0x3000, "madvise"),
            "The host takes hva 0x1000 to 0x2fff away from the process (madvise).",
        ),
        (
            ev.HostProtected(0x1000, 0x3000, "r", "mprotect"),
            "The host says that hva 0x1000 to 0x2fff may only be read (mprotect).",
        ),
        (ev.OperationBegin(1, "delete 0"), "The program does: delete 0."),
        (ev.OperationEnd(1), "Operation 1 is over."),
        (ev.LockAcquired("mmu_lock", "read"), "The task takes mmu_lock for reading."),
        (ev.LockAcquired("slots_lock", "lock"), "The task takes slots_lock."),
        (ev.LockReleased("mmu_lock", "read"), "The task gives mmu_lock back."),
    ],
)  # fmt: skip
def test_sentences(event, text):
    assert told(event) == text


def test_an_object_that_was_not_heard_of():
    assert told(ev.SlotFreed(9)) == "The object of slot object #9 is freed."
