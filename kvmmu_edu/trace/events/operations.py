"""What the user asked for, and the locks and grace periods that it took.

Ours, where a class names no tracepoint.
"""

from typing import NamedTuple

from kvmmu_edu.trace.events.kinds import Tables


class OperationBegin(NamedTuple):
    """The user's program does something: an ioctl, a guest access, host work."""

    n: int
    text: str


class OperationEnd(NamedTuple):
    """The operation has ended."""

    n: int


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
