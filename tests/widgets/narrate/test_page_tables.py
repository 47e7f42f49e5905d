"""Sentences about tables, word for word."""

import numpy as np
import pytest

from kvmmu_edu.choices import Choices
from kvmmu_edu.trace import events as ev
from kvmmu_widgets.narrate import Narrator

ROOT = ev.GetMmuPage(1, 0, 0, 4, 0, created=True)
TABLE = ev.GetMmuPage(5, 0, 0x400, 1, 0, created=True)
ROWS = np.array([5, 6, 7], np.int64)


def told(*events):
    narrator = Narrator(Choices())
    return [narrator.tell(event) for event in events][-1].text


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (ROOT, "A root, table 1, is made: a level 4 table of 512 empty entries."),
        (
            ROOT._replace(as_id=1),
            "A root, table 1, is made: a level 4 table of 512 empty entries of address space 1.",
        ),
        (ROOT._replace(created=False), "Root 1 is there already and is shared."),
        (
            TABLE,
            (
                "Table 5 is made for the 2 MiB at gfn 0x400; no entry leads to it yet, so no CPU "
                "can see it."
            ),
        ),
        (TABLE._replace(created=False), "Table 5 is there already."),
        (ev.MmuPageFreed(5), "Table 5 is freed."),
        (ev.MmuPageFreed(ROWS), "3 tables (5 to 7) are freed."),
        (ev.MmuPageFreed(ROWS[:1]), "Table 5 is freed."),
        (
            ev.RcuCallbackQueued(ROWS),
            (
                "3 tables (5 to 7) wait for a grace period of RCU before being freed: lockless "
                "walkers may still be inside."
            ),
        ),
        (
            ev.PrepareZapPage(ROWS, 0, 0x400, 1, 0),
            (
                "3 tables (5 to 7) were unlinked and will be freed; their entries are frozen now, "
                "because others may still be walking there."
            ),
        ),
        (
            ev.RootInvalidated(1),
            (
                "Root 1 is invalid now: no vCPU may enter the guest with it, and those that use it "
                "must leave it."
            ),
        ),
        (
            ev.PageStatsUpdated(1, 512),
            "The table that was built is in use: 512 pages of 4K more are counted.",
        ),
        (
            ev.SplitHugePage(0x400, 0, 2, 0),
            "The 2M page at gfn 0x400 has been split into 512 of 4K.",
        ),
        (ev.SplitHugePage(0x400, 0, 2, -16), "The 2M page at gfn 0x400 was not split: errno -16."),
        (
            ev.ZapAllFast(1, 0),
            "All roots are about to be thrown away, whatever slot caused it; valid generation 1.",
        ),
        (
            ev.NxHugePageTracked(5, tracked=False),
            "Table 5 no longer stands in for an NX huge page.",
        ),
    ],
)  # fmt: skip
def test_sentences(event, text):
    assert told(event) == text


def test_tables_are_described_by_what_was_heard_of_them():
    assert told(TABLE, ev.MmuPageFreed(5)) == "Table 5 (level 1, gfn 0x400) is freed."
    assert told(ROOT, ev.RcuCallbackQueued(1)).startswith("Root 1 (level 4, gfn 0x0) waits ")
    assert told(TABLE, ev.NxHugePageTracked(5, tracked=True)) == (
        "Table 5 (level 1, gfn 0x400) stands in for a huge page that may not be executable; the "
        "recovery worker will look at it."
    )
