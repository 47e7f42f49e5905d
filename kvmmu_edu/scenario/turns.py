"""Turns: how vCPUs that run at once share the one thread of the model.

A vCPU gives way in guest mode and in user space, and only there: what KVM does for it in
between is not interleaved with others.

Ours.
Simplified: real vCPUs run at once; which of the possible orders happens is chance there and
always the same here.
"""

from collections.abc import Awaitable
from typing import Final

from kvmmu_edu.sync.rcu import Rcu
from kvmmu_edu.sync.task import READY, Request, Scheduler, Suspend, Task

#: more turns than any program has instructions
UNLIMITED: Final = 1 << 62


class Turns:
    """The request of a vCPU that waits for its turn.

    :ivar left: how many instructions it may still begin
    """

    __slots__ = ("left", "sched")

    def __init__(self, sched: "TurnScheduler") -> None:
        """Allow no instruction yet."""
        self.sched = sched
        self.left = 0

    def ready(self) -> bool:
        """Return whether the vCPU may go on: it may also when somebody waits for it."""
        return self.left > 0 or self.sched.somebody_waits

    def describe(self) -> str:
        """Return what is waited for."""
        return "its turn"


class TurnScheduler(Scheduler):
    """Runs each task to its end, but lets vCPUs that were given turns alternate.

    :ivar somebody_waits: whether the task that runs is blocked by another
    :ivar srcu: what protects the memory slots of the VM, once there is one
    """

    def __init__(self) -> None:
        """Start without any such vCPU."""
        super().__init__()
        self.somebody_waits = False
        self.srcu: Rcu | None = None
        self._turns: dict[Task, Turns] = {}

    def checkpoint(self, *touches: object) -> Awaitable[None]:
        """Return an awaitable for the next turn, if the current task takes turns."""
        turns = self._turns.get(self.current)
        if turns is None or not self._may_give_way(touches):
            return READY
        turns.left -= 1
        return Suspend((turns,))

    def abandon_all(self) -> None:
        """End the tasks that still take turns, as when their process is killed."""
        for task in [task for task in self._turns if not task.done]:
            assert task.coro is not None
            outer, self.current = self.current, task
            try:
                task.coro.close()
            finally:
                self.current = outer
            task.done = True
            self.tasks.remove(task)
        self._turns.clear()

    def _may_give_way(self, touches: tuple[object, ...]) -> bool:
        # inside KVM a vCPU reads memory slots, and whoever changes them would wait for it
        inside = self.srcu is not None and self.srcu.read_lock_held()
        return not inside and touches[:1] in (("guest",), ("user space",))

    def play(self, task: Task, left: int) -> None:
        """Let *task* begin at most *left* instructions; less if it ends or has to wait."""
        self._turns.setdefault(task, Turns(self)).left = left
        while self.step(task):
            pass

    def play_all(self, tasks: list[Task]) -> None:
        """Let *tasks* alternate until all have ended.

        :raises Deadlock: when none of them can go on
        """
        for task in tasks:
            self._turns.setdefault(task, Turns(self)).left = UNLIMITED
        self.run_all(*tasks)
        for task in tasks:
            del self._turns[task]

    def _let_others_run(self, task: Task, request: Request) -> None:
        self.somebody_waits = True
        try:
            super()._let_others_run(task, request)
        finally:
            self.somebody_waits = False
