"""What the fields of events are made of: entries, tables, causes.

Ours.
"""

from enum import Enum
from typing import TypeAlias

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
