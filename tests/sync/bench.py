"""What the tests of this folder share: a trace, a scheduler, and small programs."""

from kvmmu_edu.sync.task import Scheduler
from kvmmu_edu.trace.recorder import EventTrace


class Exploring(Scheduler):
    """A scheduler under which locks announce themselves, as an exploring driver has them do."""

    free_running = False


class Flag:
    """A request that is ready once somebody has raised the flag."""

    def __init__(self, name="the flag"):
        self.name = name
        self.up = False

    def ready(self):
        return self.up

    def describe(self):
        return self.name


def traced(sched):
    """Return a trace that knows who runs in *sched*."""
    trace = EventTrace()
    trace.attach(sched)
    return trace
