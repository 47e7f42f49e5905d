"""What can go wrong, one type for each audience.

======================  ==============================================  ==================
type                    says                                            whom it concerns
======================  ==============================================  ==================
``KvmError``            the kernel would refuse this, with its errno    the caller of ioctls
``UsageError``          this argument or file is not what was expected  the user
``InvariantError``      two parts of the engine contradict each other   the developer
``KernelBug``           the kernel would hit a BUG() or a bad access    the learner
``Deadlock``            tasks wait for one another                      the learner
======================  ==============================================  ==================
"""

import errno as _errno
from operator import index as _index


class KvmError(OSError):
    """The kernel refuses an operation: its errno and the reason in words.

    >>> str(KvmError("EEXIST", "slot 2 overlaps slot 0"))
    'EEXIST: slot 2 overlaps slot 0'
    """

    def __init__(self, name: str, why: str, *, left: int = 0) -> None:
        """Refuse with the errno called *name*, because of *why*; *left* bytes were not done."""
        super().__init__(getattr(_errno, name), why)
        self.name = name
        self.why = why
        self.left = left

    def __str__(self) -> str:
        """Return the errno's name and the reason."""
        return f"{self.name}: {self.why}"


class UsageError(ValueError):
    """A user's mistake, in one line that says what was expected."""


def expect_unsigned(name: str, value: int, bits: int) -> int:
    """Return *value* as an int if it is an unsigned number of *bits* bits.

    >>> expect_unsigned("flags", 3, 32)
    3

    :param name: what the user calls it
    :raises UsageError: it is negative or too large
    """
    number = _index(value)
    if not 0 <= number < 1 << bits:
        raise UsageError(f"{name} is {number:#x}; expected 0 to 2**{bits} - 1")
    return number


def expect_stored(value: int, nbytes: int) -> None:
    """Refuse a *value* that *nbytes* bytes cannot hold, with a sign or without.

    :raises UsageError: it is too large, or too far below zero
    """
    bits = 8 * nbytes
    if not -1 << bits - 1 <= value < 1 << bits:
        raise UsageError(f"value is {value:#x}; expected one that fits into {nbytes} bytes")


class InvariantError(AssertionError):
    """Two parts of the engine contradict each other.

    The message names both and the relation that does not hold.
    """


class KernelBug(RuntimeError):
    """The modelled kernel did what the real one must never do."""


class Deadlock(RuntimeError):
    """Every task waits for another; the message names who waits for what."""


def ensure(condition: object, message: str) -> None:
    """Raise :class:`InvariantError` with *message* unless *condition* is true.

    >>> ensure(1 == 1, "never")
    """
    if not condition:
        raise InvariantError(message)
