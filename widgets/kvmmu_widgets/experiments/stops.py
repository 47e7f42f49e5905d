"""A scheduler that lets one look around between two steps of a task.  Ours."""

from collections.abc import Awaitable

from kvmmu_edu.sync.task import READY, Checkpoint, Scheduler, Suspend


class Stops(Scheduler):
    """Runs freely until told to stop: then tasks suspend wherever another CPU could run.

    Whoever steps such a task can look around, or let others run, between two steps.
    """

    def __init__(self) -> None:
        """Run freely at first."""
        super().__init__()
        self.stop(stopping=False)

    def stop(self, *, stopping: bool = True) -> None:
        """Suspend tasks at every checkpoint and before every lock; or no longer."""
        self.free_running = not stopping

    def checkpoint(self, *touches: object) -> Awaitable[None]:
        """Return an awaitable that suspends, if this stops."""
        return READY if self.free_running else Suspend((Checkpoint(touches),))
