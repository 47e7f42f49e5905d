"""What sentences refer to."""

import numpy as np
import pytest

from kvmmu_edu.trace.events import Cause, GetMmuPage, SlotCreated, SpteChanged
from kvmmu_widgets.narrate.context import Context

LEAF = 0x200400E67
EMPTY = 1 << 63


@pytest.fixture
def context(fmt):
    return Context(fmt)


def test_slots_by_serial(context):
    context.hear(SlotCreated(3, 7, 0, 0, 1, 0, 0))
    assert context.slot(3) == "slot 7 (#3)"
    assert context.slot(4) == "slot object #4"


def test_tables_by_row(context):
    context.hear(GetMmuPage(5, 0, 0x400, 1, 0, created=True))
    assert context.table(5) == "table 5 (level 1, gfn 0x400)"
    assert context.table(6) == "table 6"


def test_ready_entries_are_counted(context):
    context.hear(GetMmuPage(5, 0, 0x400, 1, 0, created=True))
    new = np.full(512, LEAF, np.uint64)
    context.hear(SpteChanged(0, 1, 0x400, 5, slice(0, 512), EMPTY, new, Cause.SPLIT_CHILD, 0))
    assert context.present[5] == 512
    context.hear(SpteChanged(0, 1, 0x400, 5, slice(0, 12), LEAF, EMPTY, Cause.ZAP, 0))
    context.hear(SpteChanged(0, 1, 0x40C, 5, 12, LEAF, EMPTY, Cause.ZAP, 0))
    assert context.present[5] == 499
