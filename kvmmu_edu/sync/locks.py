"""Mutexes, spinlocks and the reader-writer lock, under the kernel's names.

``async with kvm.slots_lock:`` and ``async with kvm.mmu_lock.read:`` read like the kernel.
A free lock is taken at once; a taken one suspends the task.  Under an exploring driver
each acquisition is announced first, because that is where another CPU could be quicker.

Every acquisition is an event, so that lock traffic can be counted.
"""

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Literal, TypeAlias

from kvmmu_edu.errors import InvariantError, ensure
from kvmmu_edu.sync.task import READY, Scheduler, Suspend, Task
from kvmmu_edu.trace.events import LockAcquired, LockReleased

if TYPE_CHECKING:
    from kvmmu_edu.trace.recorder import Trace

Mode: TypeAlias = Literal["lock", "read", "write"]


class Acquire:
    """The request of a task that wants a lock.

    Ours.
    """

    __slots__ = ("lock", "mode")

    def __init__(self, lock: "_Lock", mode: Mode) -> None:
        """Ask for *lock* in *mode*."""
        self.lock = lock
        self.mode = mode

    def ready(self) -> bool:
        """Return whether the lock can be had."""
        return self.lock.can_take(self.mode)

    def describe(self) -> str:
        """Return which lock and who holds it."""
        return f"{self.lock.name} ({self.mode}), held by {self.lock.holders()}"


class _Lock:
    """What mutexes, spinlocks and reader-writer locks have in common."""

    __slots__ = ("name", "readers", "sched", "trace", "writer")

    def __init__(self, name: str, sched: Scheduler, trace: "Trace") -> None:
        self.name = name
        self.sched = sched
        self.trace = trace
        self.writer: Task | None = None
        self.readers: list[Task] = []

    def can_take(self, mode: Mode) -> bool:
        return self.writer is None and (mode == "read" or not self.readers)

    def holders(self) -> str:
        names = [self.writer.name] if self.writer else [task.name for task in self.readers]
        return ", ".join(names) or "nobody"

    def take(self, mode: Mode) -> Awaitable[None]:
        """Return an awaitable after which the current task holds the lock."""
        if self.writer is None and self.sched.free_running and (mode == "read" or not self.readers):
            self._taken(mode)
            return READY
        return self._wait(mode)

    def release(self, mode: Mode) -> None:
        if mode == "read":
            self.readers.remove(self.sched.current)
        else:
            self.writer = None
        if self.trace.keeps_events:
            self.trace.emit(LockReleased, self.name, mode)

    def assert_held(self, mode: Mode | None = None) -> None:
        """Raise unless the current task holds the lock (in *mode*).

        Kernel: lockdep_assert_held(), include/linux/lockdep.h (v6.12)
        """
        task = self.sched.current
        if self.writer is not task and (mode == "write" or task not in self.readers):
            wanted = f"{task.name} needs {self.name} ({mode or 'any'})"
            raise InvariantError(f"{wanted}, held by {self.holders()}")

    def check(self) -> None:
        """Raise unless the lock is free: called when no task runs."""
        free = self.writer is None and not self.readers
        ensure(free, f"{self.name} is held by {self.holders()} but no task runs")

    def _taken(self, mode: Mode) -> None:
        if mode == "read":
            self.readers.append(self.sched.current)
        else:
            self.writer = self.sched.current
        self.trace.emit(LockAcquired, self.name, mode)

    async def _wait(self, mode: Mode) -> None:
        await Suspend((Acquire(self, mode),))
        self._taken(mode)


class Guard:
    """One way to hold a lock, for ``async with``.

    Ours.
    """

    __slots__ = ("lock", "mode")

    def __init__(self, lock: _Lock, mode: Mode) -> None:
        """Make a guard for *lock* in *mode*."""
        self.lock = lock
        self.mode: Mode = mode

    def __aenter__(self) -> Awaitable[None]:
        """Take the lock."""
        return self.lock.take(self.mode)

    def __aexit__(self, *_exc: object) -> Awaitable[None]:
        """Release the lock."""
        self.lock.release(self.mode)
        return READY


class Mutex(_Lock):
    """A lock for one task at a time.

    Kernel: struct mutex, include/linux/mutex_types.h (v6.12)
    """

    __slots__ = ()

    def __aenter__(self) -> Awaitable[None]:
        """Take the mutex."""
        return self.take("lock")

    def __aexit__(self, *_exc: object) -> Awaitable[None]:
        """Release the mutex."""
        self.release("lock")
        return READY

    def lock(self) -> Awaitable[None]:
        """Return an awaitable after which the current task holds the mutex.

        For the places where the kernel releases in another function than it acquires in.

        Kernel: mutex_lock(), include/linux/mutex.h (v6.12)
        """
        return self.take("lock")

    def unlock(self) -> None:
        """Release the mutex.

        Kernel: mutex_unlock(), kernel/locking/mutex.c (v6.12)
        """
        self.release("lock")


class Spinlock(Mutex):
    """A lock held for a few instructions; the model treats it as a mutex.

    Kernel: spinlock_t, include/linux/spinlock_types.h (v6.12)
    Simplified: no spinning; a task that cannot have it suspends, and the order of the
    critical sections is the same.
    """

    __slots__ = ()


class RwLock(_Lock):
    """A lock for many readers or one writer: ``mmu_lock``.

    Kernel: rwlock_t, include/linux/rwlock_types.h (v6.12)
    """

    __slots__ = ("read", "write")

    def __init__(self, name: str, sched: Scheduler, trace: "Trace") -> None:
        """Make a free lock with its two guards."""
        super().__init__(name, sched, trace)
        self.read = Guard(self, "read")
        self.write = Guard(self, "write")
