"""A clock that only moves when it is told to.

``sleep`` in a scenario advances it and takes no time; a worker that waits for a point in
time is a task whose request is ready from then on.

Ours: the kernel has timers and real time.
"""

from typing import Final

from kvmmu_edu.sync.task import Scheduler, Suspend
from kvmmu_edu.sync.timer_wheel import MS_PER_JIFFY, bucket_expiry

#: a timeout that never ends by itself, ticks
MAX_SCHEDULE_TIMEOUT: Final = 1 << 62


class Alarm:
    """The request of a task that sleeps until a point in time, or until it is woken."""

    __slots__ = ("clock", "when_ms", "woken")

    def __init__(self, clock: "VirtualClock", when_ms: int) -> None:
        """Sleep until *when_ms*."""
        self.clock = clock
        self.when_ms = when_ms
        self.woken = False

    def ready(self) -> bool:
        """Return whether that time has come, or somebody has woken the task."""
        return self.woken or self.clock.now_ms >= self.when_ms

    def wake(self) -> None:
        """Let the task go on, whatever the time.

        Kernel: wake_up_process(), kernel/sched/core.c (v6.12)
        """
        self.woken = True

    def describe(self) -> str:
        """Return the time that is waited for."""
        if self.when_ms >= MAX_SCHEDULE_TIMEOUT:
            return "somebody to wake it"
        return f"the time {self.when_ms} ms, it is {self.clock.now_ms} ms"


class VirtualClock:
    """Time in milliseconds since the VM was made."""

    def __init__(self, sched: Scheduler) -> None:
        """Start at zero."""
        self.sched = sched
        self.now_ms = 0

    @property
    def jiffies(self) -> int:
        """The time in ticks.

        Kernel: jiffies, include/linux/jiffies.h (v6.12)
        """
        return self.now_ms // MS_PER_JIFFY

    def sleep(self, ms: int) -> Suspend:
        """Return an awaitable for the time *ms* milliseconds from now."""
        return Suspend((Alarm(self, self.now_ms + ms),))

    def timeout(self, ticks: int) -> Alarm:
        """Return an alarm for a timeout of *ticks*, which the timer wheel rounds up.

        Kernel: schedule_timeout(), kernel/time/timer.c (v6.12)
        """
        if ticks >= MAX_SCHEDULE_TIMEOUT:
            return Alarm(self, MAX_SCHEDULE_TIMEOUT)
        return Alarm(self, bucket_expiry(self.jiffies, ticks) * MS_PER_JIFFY)

    def advance(self, ms: int) -> None:
        """Let *ms* milliseconds pass; workers run in the order of their alarms."""
        end = self.now_ms + ms
        while True:
            self._run_workers()
            due = [
                task.request.when_ms
                for task in self.sched.tasks
                if isinstance(task.request, Alarm) and task.request.when_ms <= end
            ]
            if not due:
                break
            self.now_ms = max(self.now_ms, min(due))
        self.now_ms = end

    def _run_workers(self) -> None:
        while any([self.sched.step(task) for task in list(self.sched.tasks)]):
            pass
