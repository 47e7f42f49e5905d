"""Sentences about entries, word for word."""

import numpy as np
import pytest

from kvmmu_edu.choices import Choices
from kvmmu_edu.trace.events import Cause, FrozenSpteHandled, GetMmuPage, SpteChanged
from kvmmu_widgets.narrate import Narrator

EMPTY = 1 << 63
FROZEN = 1 << 63 | 0x5A0
LEAF = 0x200400E67
GUARDED = LEAF & ~2
LARGE = LEAF | 0x80
LINK = 0x100005827
MMIO = 1 << 51 | 1 | 6 << 3


def told(old, new, level=1, cause=Cause.MAP, gfn=0x400, as_id=0):
    return Narrator(Choices()).tell(SpteChanged(as_id, level, gfn, 1, 0, old, new, cause, 0))


@pytest.mark.parametrize(
    ("old", "new", "level", "cause", "text", "short"),
    [
        (
            EMPTY,
            LEAF,
            1,
            Cause.MAP,
            "The 4K entry at gfn 0x400 now maps pfn 0x200400, RWX D A.",
            "0x400: empty → 4K",
        ),
        (
            EMPTY,
            LINK,
            2,
            Cause.LINK,
            "The empty 2M entry at gfn 0x400 now points to table 5, which is empty.",
            "0x400: empty → table",
        ),
        (
            LARGE,
            EMPTY,
            2,
            Cause.ZAP,
            "The 2M entry at gfn 0x400 maps nothing any more; it led to pfn 0x200400.",
            "0x400: 2M → empty",
        ),
        (
            LINK,
            EMPTY,
            2,
            Cause.ZAP,
            "The 2M entry at gfn 0x400 no longer points to table 5: what is below is out of reach.",
            "0x400: table → empty",
        ),
        (
            LINK,
            LARGE,
            2,
            Cause.MAP,
            (
                "The 2M entry at gfn 0x400 maps all of it again, pfn 0x200400, RWX D A, in place "
                "of table 5."
            ),
            "0x400: table → 2M",
        ),
        (
            LEAF,
            GUARDED,
            1,
            Cause.WRITE_PROTECT,
            "The 4K entry at gfn 0x400 is write-protected: the next write faults; it is R-X D A.",
            "0x400: RWX D A → R-X D A",
        ),
        (
            GUARDED,
            LEAF,
            1,
            Cause.FAST_FAULT,
            "The 4K entry at gfn 0x400 may be written now; it is RWX D A.",
            "0x400: R-X D A → RWX D A",
        ),
        (
            LEAF & ~0x60,
            LEAF,
            1,
            Cause.CPU,
            "The 4K entry at gfn 0x400 is marked dirty and is marked accessed; it is RWX D A.",
            "0x400: RWX → RWX D A",
        ),
        (
            EMPTY,
            MMIO,
            1,
            Cause.MAP,
            "The 4K entry at gfn 0x400 now says that there is no memory: MMIO, slot generation 6.",
            "0x400: empty → MMIO",
        ),
        (
            LARGE,
            FROZEN,
            2,
            Cause.ZAP_FREEZE,
            (
                "The 2M entry at gfn 0x400 was 2M RWX D A and is frozen now: nobody else may "
                "change it until the TLBs are flushed."
            ),
            "0x400: 2M → frozen",
        ),
        (
            FROZEN,
            EMPTY,
            2,
            Cause.THAW,
            (
                "The TLBs are flushed, so the 2M entry at gfn 0x400 is emptied: others may use it "
                "again."
            ),
            "0x400: frozen → empty",
        ),
        (
            LEAF,
            FROZEN,
            1,
            Cause.FREEZE,
            (
                "The 4K entry at gfn 0x400, which was 4K RWX D A, is frozen because its table is "
                "going away."
            ),
            "0x400: 4K → frozen",
        ),
        (
            MMIO,
            EMPTY,
            1,
            Cause.ZAP,
            "The 4K entry at gfn 0x400 was MMIO and is empty now.",
            "0x400: MMIO → empty",
        ),
    ],
)
def test_one_entry(old, new, level, cause, text, short):
    assert told(old, new, level, cause) == (text, short)


def test_the_other_address_space_is_named():
    assert told(EMPTY, LEAF, as_id=1).text == (
        "The 4K entry at gfn 0x400 (address space 1) now maps pfn 0x200400, RWX D A."
    )


def test_a_split_knows_that_the_table_is_ready():
    narrator = Narrator(Choices())
    narrator.tell(GetMmuPage(5, 0, 0x400, 1, 0, created=True))
    new = np.full(512, LEAF, np.uint64)
    built = narrator.tell(
        SpteChanged(0, 1, 0x400, 5, slice(0, 512), EMPTY, new, Cause.SPLIT_CHILD, 0)
    )
    assert built.text == (
        "512 entries of 4K from gfn 0x400 on are built in table 5, each 4K RWX D A, before any CPU "
        "can see them."
    )
    linked = narrator.tell(SpteChanged(0, 2, 0x400, 1, 2, LARGE, LINK, Cause.SPLIT, 0))
    assert linked.text == "The 2M entry at gfn 0x400 now points to a table of 512 ready 4K entries."


def span(old, new, cause, index=slice(0, 512)):
    event = SpteChanged(0, 1, 0x400, 1, index, np.array(old, np.uint64), new, cause, 0)
    return Narrator(Choices()).tell(event)


def test_a_span_names_the_first_page_that_changed():
    line = span([EMPTY, EMPTY, LEAF, LEAF], [EMPTY, EMPTY, GUARDED, GUARDED],
                Cause.WRITE_PROTECT, slice(4, 8))  # fmt: skip
    assert line.text == "2 entries of 4K from gfn 0x402 on were RWX D A and are R-X D A now."
    assert line.short == "2 × RWX D A → R-X D A"


def test_a_span_in_which_one_entry_changed_is_one_entry():
    line = span([EMPTY, LEAF], EMPTY, Cause.ZAP, slice(0, 2))
    assert line.text == "The 4K entry at gfn 0x401 maps nothing any more; it led to pfn 0x200400."


def test_a_mixed_span_says_what_most_were():
    line = span([LEAF, LEAF, MMIO], EMPTY, Cause.ZAP, slice(0, 3))
    assert line.text == (
        "3 entries of 4K from gfn 0x400 on changed: 2 of them were 4K RWX D A and are empty now."
    )


def test_a_span_says_why():
    line = span([LEAF, LEAF], EMPTY, Cause.ZAP, slice(0, 2))
    assert line.text == (
        "2 entries of 4K from gfn 0x400 on were 4K RWX D A and are empty now, because of a zap."
    )


def test_a_span_that_changes_nothing():
    assert span([LEAF, LEAF], LEAF, Cause.AGE, slice(0, 2)).short == "nothing changed"


def test_a_span_over_two_tables():
    rows = np.array([1, 2], np.int64)
    old = np.full((2, 512), EMPTY, np.uint64)
    old[1, 3] = LEAF
    event = SpteChanged(0, 1, 0x400, rows, slice(0, 512), old, EMPTY, Cause.ZAP, -1)
    assert "gfn 0x603 " in Narrator(Choices()).tell(event).text


def test_the_bookkeeping_after_a_zap():
    event = FrozenSpteHandled(0, 2, 0x400, 1, 2, LARGE, EMPTY, -1)
    assert Narrator(Choices()).tell(event).text == (
        "The bookkeeping for the zapped 2M entry at gfn 0x400 is done; it was 2M RWX D A."
    )
