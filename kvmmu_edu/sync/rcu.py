"""RCU and SRCU: who may still be reading what is about to be freed.

A grace period ends when every task that was in a read-side section at its start has left that
section.

Kernel: kernel/rcu/tree.c, kernel/rcu/srcutree.c (v6.12)
Simplified: no per-CPU machinery; what counts is only which readers a grace period waits for.
"""

from collections.abc import Awaitable, Callable

from kvmmu_edu.errors import ensure
from kvmmu_edu.sync.task import READY, Scheduler, Suspend, Task


class GracePeriod:
    """Waits for the read-side sections that were open when it was made.

    :ivar readers: the tasks that have not left those sections yet

    Ours.
    """

    __slots__ = ("flavour", "readers")

    def __init__(self, flavour: "Rcu", readers: set[Task]) -> None:
        """Wait for *readers*."""
        self.flavour = flavour
        self.readers = readers

    def ready(self) -> bool:
        """Return whether all of them have left."""
        return not self.readers

    def describe(self) -> str:
        """Return who is still reading."""
        names = ", ".join(sorted(task.name for task in self.readers))
        return f"a grace period of {self.flavour.name}, readers: {names or 'none'}"


class Rcu:
    """Read-copy-update: tables are freed when nobody can be walking them.

    :param name: for messages
    :ivar readers: the tasks in a read-side section, and how many sections deep
    :ivar periods: the grace periods that wait for some of them

    Kernel: struct rcu_head, include/linux/types.h (v6.12)
    """

    __slots__ = ("callbacks", "name", "periods", "readers", "sched")

    def __init__(self, name: str, sched: Scheduler) -> None:
        """Make a flavour that nobody reads yet."""
        self.name = name
        self.sched = sched
        self.readers: dict[Task, int] = {}
        self.periods: list[GracePeriod] = []
        self.callbacks: list[tuple[GracePeriod, Callable[[], None]]] = []

    def read_lock(self) -> None:
        """Enter a read-side section.

        Kernel: rcu_read_lock(), include/linux/rcupdate.h (v6.12)
        """
        task, readers = self.sched.current, self.readers
        readers[task] = readers.get(task, 0) + 1

    def read_unlock(self) -> None:
        """Leave a read-side section.

        Kernel: rcu_read_unlock(), include/linux/rcupdate.h (v6.12)
        """
        task, readers = self.sched.current, self.readers
        depth = readers.pop(task)
        if depth > 1:
            readers[task] = depth - 1
        elif self.periods:
            self._leaves(task)

    def _leaves(self, task: Task) -> None:
        """Let the grace periods that wait for *task* wait for it no longer."""
        for period in self.periods:
            period.readers.discard(task)
        self.periods = [period for period in self.periods if period.readers]

    def read_lock_held(self) -> bool:
        """Return whether the current task is in a read-side section.

        Kernel: rcu_read_lock_held(), include/linux/rcupdate.h (v6.12)
        """
        return self.sched.current in self.readers

    def grace_period(self) -> GracePeriod:
        """Return what a grace period that starts now has to wait for."""
        period = GracePeriod(self, set(self.readers))
        if period.readers:
            self.periods.append(period)
        return period

    def synchronize(self) -> Awaitable[None]:
        """Return an awaitable for the end of a grace period that starts now.

        Kernel: synchronize_rcu(), kernel/rcu/tree.c (v6.12)
        """
        period = self.grace_period()
        if self.sched.free_running and period.ready():
            return READY
        return Suspend((period,))

    def call(self, callback: Callable[[], None]) -> None:
        """Have *callback* called after a grace period.

        Kernel: call_rcu(), kernel/rcu/tree.c (v6.12)
        """
        self.callbacks.append((self.grace_period(), callback))

    def run_callbacks(self) -> None:
        """Call what is due; the facade does this after each operation.

        Kernel: rcu_do_batch(), kernel/rcu/tree.c (v6.12)
        """
        if not self.callbacks:
            return
        due = [entry for entry in self.callbacks if entry[0].ready()]
        self.callbacks = [entry for entry in self.callbacks if not entry[0].ready()]
        for _, callback in due:
            callback()

    def check(self) -> None:
        """Raise if a read-side section is open although no task runs."""
        names = ", ".join(task.name for task in self.readers)
        ensure(not self.readers, f"{self.name}: {names} in a read-side section but no task runs")
