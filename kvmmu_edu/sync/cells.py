"""Shared cells: words that tasks read and write without holding a common lock.

The kernel reads them with acquire, release, READ_ONCE, cmpxchg or under RCU; a cell has
just these operations, by these names, so that the code says which order it relies on.
Under sequential consistency, which is what this class gives, they all are plain accesses.
A weak memory model replaces the class by one whose reads may return an older value.

SPTE words are no cells: see "memory order" in the map.

Kernel: tools/memory-model/Documentation/explanation.txt (v6.12)
"""

from typing import Generic, TypeVar

T = TypeVar("T")


class Shared(Generic[T]):
    """A word in memory that several tasks use.

    :param name: the kernel's name of the field
    :param value: what it holds at first

    Ours: in the kernel a plain field, used through macros.
    """

    __slots__ = ("_value", "name")

    def __init__(self, name: str, value: T) -> None:
        """Make a cell."""
        self.name = name
        self._value = value

    def __repr__(self) -> str:
        """Return name and value."""
        return f"Shared({self.name!r}, {self._value!r})"

    def read_once(self) -> T:
        """Read, ordered with nothing.

        Kernel: READ_ONCE, include/asm-generic/rwonce.h (v6.12)
        """
        return self._value

    def write_once(self, value: T) -> None:
        """Write, ordered with nothing.

        Kernel: WRITE_ONCE, include/asm-generic/rwonce.h (v6.12)
        """
        self._value = value

    def load_acquire(self) -> T:
        """Read; what follows cannot be reordered before it.

        Kernel: smp_load_acquire, include/asm-generic/barrier.h (v6.12)
        """
        return self._value

    def store_release(self, value: T) -> None:
        """Write; what precedes cannot be reordered after it.

        Kernel: smp_store_release, include/asm-generic/barrier.h (v6.12)
        """
        self._value = value

    def rcu_dereference(self) -> T:
        """Read a pointer; what is read through it is ordered by the dependency.

        Kernel: rcu_dereference, include/linux/rcupdate.h (v6.12)
        """
        return self._value

    def rcu_assign_pointer(self, value: T) -> None:
        """Publish a pointer; what it points to is written before.

        Kernel: rcu_assign_pointer, include/linux/rcupdate.h (v6.12)
        """
        self._value = value

    def xchg(self, value: T) -> T:
        """Write, and return what was there, in one step.

        Kernel: xchg, include/linux/atomic/atomic-instrumented.h (v6.12)
        """
        old, self._value = self._value, value
        return old

    def cmpxchg(self, old: T, new: T) -> T:
        """Write *new* if *old* is there; return what was there, in one step.

        Kernel: cmpxchg, include/linux/atomic/atomic-instrumented.h (v6.12)
        """
        was = self._value
        if was == old:
            self._value = new
        return was


class Counter(Shared[int]):
    """A shared number that is added to in one step.

    Kernel: atomic64_t, include/linux/types.h (v6.12)
    """

    __slots__ = ()

    def add_return(self, n: int) -> int:
        """Add *n* and return the sum.

        Kernel: atomic64_add_return(), include/linux/atomic/atomic-instrumented.h (v6.12)
        """
        self._value += n
        return self._value
