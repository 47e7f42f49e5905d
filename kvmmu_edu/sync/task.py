"""Tasks, and the one place where a task can be switched.

Code that another CPU could interrupt is ``async def``.  Where it could be interrupted it
awaits: a checkpoint, a lock, a grace period.  What it awaits is either :data:`READY`, which
costs less than a call, or a :class:`Request` that travels up to whoever drives the task:

* the driver of this module runs a task to its end and switches only when a task is blocked;
* a recording driver lets the trace see each checkpoint;
* an exploring driver suspends at each checkpoint and decides who runs next.

The same engine code serves all three.  Ours: the kernel has CPUs for this.
"""

from collections.abc import Awaitable, Coroutine, Generator
from types import coroutine
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

from kvmmu_edu.errors import Deadlock

T = TypeVar("T")


class Request(Protocol):
    """What a suspended task waits for."""

    def ready(self) -> bool:
        """Return whether the task may go on."""
        ...

    def describe(self) -> str:
        """Return what is waited for and who has it, for messages."""
        ...


class Suspend(tuple[Request, ...]):
    """An awaitable that hands its one item to the driver.

    A tuple iterates without running Python code.
    """

    __slots__ = ()
    if TYPE_CHECKING:

        def __await__(self) -> Generator[Request, None, None]:
            """Hand the request to the driver."""
            ...

    else:
        __await__ = tuple.__iter__


@coroutine
def _nothing() -> Generator[Request, None, None]:
    return
    yield


#: await this where nothing has to be waited for: a generator at its end is the one awaitable
#: that Python need not ask for an iterator, and it can be awaited again and again
READY: Awaitable[None] = _nothing()
next(READY, None)  # type: ignore[call-overload]

Coro: TypeAlias = Coroutine[Request, None, T]


class Checkpoint:
    """A point where another task may run; it names what the next step touches."""

    __slots__ = ("touches",)

    def __init__(self, touches: tuple[Any, ...]) -> None:
        """Remember the locations that the step after this point reads or writes."""
        self.touches = touches

    def ready(self) -> bool:
        """Return true: a checkpoint never blocks."""
        return True

    def describe(self) -> str:
        """Return what the step touches."""
        return "checkpoint " + ", ".join(map(str, self.touches))


class Task:
    """A thread of the model: an ioctl, a vCPU, a worker.

    :param name: as in the kernel's ``comm``: ``kvmtrace``, ``vcpu0``, ``kvm-nx-lpage-re``
    :param coro: what it runs
    :ivar daemon: whether it never ends by itself, so that nobody waits for its end
    """

    __slots__ = (
        "coro",
        "daemon",
        "done",
        "name",
        "request",
        "result",
    )

    def __init__(self, name: str, coro: Coro[Any] | None = None) -> None:
        """Make a task that has not started."""
        self.name = name
        self.coro = coro
        self.daemon = False
        self.request: Request | None = None
        self.done = coro is None
        self.result: Any = None

    def __repr__(self) -> str:
        """Return the name."""
        return f"<Task {self.name}>"


class Scheduler:
    """Runs tasks to their end, and others only while one is blocked.

    ``free_running`` tells locks that they need not announce themselves when they are free;
    drivers that explore set it to false and override :meth:`checkpoint`.
    """

    free_running = True

    def __init__(self) -> None:
        """Start with no task but the one that stands for the caller."""
        self.idle = Task("swapper")
        self.current = self.idle
        self.tasks: list[Task] = []

    def checkpoint(self, *_touches: object) -> Awaitable[None]:
        """Return an awaitable for a point where another task may run."""
        return READY

    def need_resched(self) -> bool:
        """Return whether a long walk should give way now.

        Kernel: need_resched(), include/linux/sched.h (v6.12)
        """
        return False

    def spawn(self, name: str, coro: Coro[Any], *, daemon: bool = False) -> Task:
        """Make a background task; it runs when another one blocks, or in :meth:`run_all`."""
        task = Task(name, coro)
        task.daemon = daemon
        self.tasks.append(task)
        return task

    def run(self, name: str, coro: Coro[T]) -> T:
        """Run *coro* as a task of that name to its end and return its result."""
        outer = self.current
        task = Task(name, coro)
        self.current = task
        send = coro.send
        try:
            while True:
                request = send(None)
                task.request = request
                self._let_others_run(task, request)
                task.request = None
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        finally:
            self.current = outer

    def run_all(self, *only: Task) -> None:
        """Run the background tasks (or only these) in turn until all but daemons have ended.

        :raises Deadlock: when none of them can go on
        """
        waiting = list(only) or [task for task in self.tasks if not task.daemon]
        while waiting:
            daemons = [task for task in self.tasks if task.daemon and task not in waiting]
            if not any([self.step(task) for task in (*waiting, *daemons)]):
                raise Deadlock("; ".join(_who_waits(task) for task in waiting))
            waiting = [task for task in waiting if not task.done]

    def step(self, task: Task) -> bool:
        """Let *task* run until it suspends again; return false if it is blocked or done."""
        if task.done or (task.request is not None and not task.request.ready()):
            return False
        assert task.coro is not None
        outer, self.current = self.current, task
        try:
            task.request = task.coro.send(None)
        except StopIteration as stop:
            task.done, task.result, task.request = True, stop.value, None
            self.tasks.remove(task)
        except BaseException:
            task.done, task.request = True, None
            self.tasks.remove(task)
            raise
        finally:
            self.current = outer
        return True

    def _let_others_run(self, task: Task, request: Request) -> None:
        while not request.ready():
            if not any([self.step(other) for other in list(self.tasks)]):
                blocked = [task, *self.tasks]
                raise Deadlock("; ".join(_who_waits(t) for t in blocked))


def _who_waits(task: Task) -> str:
    waits_for = task.request.describe() if task.request is not None else "its turn"
    return f"{task.name} waits for {waits_for}"
