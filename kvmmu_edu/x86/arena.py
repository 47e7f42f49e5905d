"""All page tables of a VM: rows of one array, with side arrays.

A table is a row number; the model's pointer to a page of 512 entries and to its
``struct kvm_mmu_page`` alike.  Its physical frame is ``TABLE_PFN_BASE + row``, so an entry
that points to a table names the row.  Rows are plain NumPy, so a walk over many tables is one
expression; single entries go through a memoryview, which is quicker for them.

Only :mod:`kvmmu_edu.x86.spte_gate` writes entries of linked tables.

Ours: the kernel allocates each table as a page of its own.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from kvmmu_edu.errors import InvariantError, ensure
from kvmmu_edu.units import SPTE_ENT_PER_PAGE

#: the frame number of row 0; host pages have frame numbers above all of these
TABLE_PFN_BASE: Final = 0x100000
#: tables that fit between that and the frames of the host
MAX_TABLES: Final = 0x100000

#: what the entries of freed tables hold, so that nobody takes them for anything else
#: Kernel: POISON_FREE, include/linux/poison.h (v6.12)
FREED: Final = 0x6B6B_6B6B_6B6B_6B6B

_FIRST_CAPACITY: Final = 32
#: how many free rows are checked in one expression
_ROWS_AT_ONCE: Final = 1024


class Arena:
    """The page tables of one VM.

    :ivar spt: the entries, uint64[capacity, 512]
    :ivar words: the same memory as one flat memoryview, for single entries
    :ivar gfn: first frame that each table translates, int64[capacity]
    :ivar role: role words, uint32[capacity]
    :ivar parent: the row of the table above, -1 for roots, int32[capacity]
    :ivar parent_index: the column of the entry that points here, int16[capacity]
    :ivar nx_huge_page_disallowed: whether made because huge pages may not be executed
    :ivar allocated: which rows are in use; *live* is the same memory, for single rows
    Cost: 4096 bytes and 24 bytes of side arrays for each table; capacity doubles as needed.
    """

    def __init__(self, nonpresent: int) -> None:
        """Make an empty arena; *nonpresent* is the value of an empty entry."""
        self.nonpresent = nonpresent
        self.used = 0
        # row 0 stays unused, so that "no table" can be told from any table
        self._top = 1
        self._free: list[int] = []
        self._make(_FIRST_CAPACITY)

    def _make(self, capacity: int) -> None:
        self.capacity = capacity
        self.spt: NDArray[np.uint64] = np.empty((capacity, SPTE_ENT_PER_PAGE), np.uint64)
        self.spt[0] = self.nonpresent
        self.gfn = np.zeros(capacity, np.int64)
        self.role = np.zeros(capacity, np.uint32)
        self.parent = np.full(capacity, -1, np.int32)
        self.parent_index = np.zeros(capacity, np.int16)
        self.nx_huge_page_disallowed = np.zeros(capacity, np.bool_)
        self.allocated = np.zeros(capacity, np.bool_)
        self._make_views()

    def _make_views(self) -> None:
        self.words = self.spt.reshape(-1).data.cast("B").cast("Q")
        self.roles = self.role.data
        self.gfns = self.gfn.data
        self.live = self.allocated.data

    def _grow(self) -> None:
        old = self.__dict__.copy()
        size = self.capacity
        self._make(size * 2)
        for name in _ARRAYS:
            getattr(self, name)[:size] = old[name]
        self._make_views()

    def alloc(self, gfn: int, role: int, parent: int = -1, parent_index: int = 0) -> int:
        """Return the row of a new empty table.

        Kernel: tdp_mmu_alloc_sp(), arch/x86/kvm/mmu/tdp_mmu.c (v6.12)
        """
        if self._free:
            row = self._free.pop()
        else:
            row = self._top
            if row == self.capacity:
                self._grow()
            self._top += 1
        self.spt[row] = self.nonpresent
        self.gfns[row] = gfn
        self.roles[row] = role
        self.parent[row] = parent
        self.parent_index[row] = parent_index
        self.nx_huge_page_disallowed[row] = False
        self.allocated[row] = True
        self.used += 1
        return row

    def free(self, tables: int | NDArray[np.int64]) -> None:
        """Give rows back; nobody may refer to them any more.

        Kernel: tdp_mmu_free_sp(), arch/x86/kvm/mmu/tdp_mmu.c (v6.12)
        """
        rows = [tables] if isinstance(tables, int) else tables.tolist()
        ensure(self.allocated[rows].all(), f"tables {rows} are freed but not all allocated")
        self.allocated[rows] = False
        self.spt[rows] = FREED
        self._free.extend(reversed(rows))
        self.used -= len(rows)

    def read(self, table: int, index: int) -> int:
        """Return one entry."""
        return self.words[table * SPTE_ENT_PER_PAGE + index]

    def rows(self) -> NDArray[np.int64]:
        """Return the rows in use, ascending, int64."""
        return np.flatnonzero(self.allocated[: self._top]).astype(np.int64)

    def check(self) -> None:
        """Raise unless the free list and the rows in use make up all rows ever used."""
        used = int(np.count_nonzero(self.allocated))
        ensure(used == self.used, f"{used} rows are marked allocated, the counter says {self.used}")
        ensure(
            used + len(self._free) == self._top - 1,
            f"{used} rows used and {len(self._free)} free do not make up {self._top - 1}",
        )
        for first in range(0, len(self._free), _ROWS_AT_ONCE):
            rows = self._free[first : first + _ROWS_AT_ONCE]
            written = (self.spt[rows] != FREED).any(axis=1)
            if written.any():
                row = rows[int(written.argmax())]
                raise InvariantError(f"table {row} is free, but its entries were written since")


_ARRAYS: Final = (
    "spt",
    "gfn",
    "role",
    "parent",
    "parent_index",
    "nx_huge_page_disallowed",
    "allocated",
)


def table_of(spte: int) -> int:
    """Return the row of the table that an entry points to.

    Kernel: spte_to_child_sp(), arch/x86/kvm/mmu/spte.h (v6.12)
    """
    return ((spte >> 12) & 0xFFFFFFFFFF) - TABLE_PFN_BASE


def tables_of(sptes: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return the rows of the tables that entries point to, int64 of the same shape.

    Ours: :func:`table_of` for arrays.
    """
    pfns = (sptes >> np.uint64(12)) & np.uint64(0xFFFFFFFFFF)
    return pfns.astype(np.int64) - TABLE_PFN_BASE
