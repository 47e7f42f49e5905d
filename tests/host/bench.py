"""A process for the tests of the host: its memory, and a listener that remembers."""

from kvmmu_edu.host.mm import Mm
from kvmmu_edu.sync.task import Scheduler
from kvmmu_edu.trace.recorder import EventTrace
from kvmmu_edu.units import KIB, MIB, PAGE_SIZE

K4, M2 = 4 * KIB, 2 * MIB
assert K4 == PAGE_SIZE


class Listener:
    """Remembers what it heard; calls inside others are kept inside."""

    def __init__(self):
        self.calls = []
        self.open = []
        self.young = set()
        self.asked = []

    async def invalidate_range_start(self, start_hva, end_hva):
        call = [start_hva, end_hva, []]
        (self.open[-1][2] if self.open else self.calls).append(call)
        self.open.append(call)

    async def invalidate_range_end(self, start_hva, end_hva):
        assert self.open.pop()[:2] == [start_hva, end_hva]

    async def clear_flush_young(self, start_hva, end_hva):
        self.asked.append(("flush", start_hva, end_hva))
        return self._clear(start_hva, end_hva)

    async def clear_young(self, start_hva, end_hva):
        self.asked.append(("clear", start_hva, end_hva))
        return self._clear(start_hva, end_hva)

    async def test_young(self, hva):
        return hva in self.young

    def _clear(self, start_hva, end_hva):
        found = {hva for hva in self.young if start_hva <= hva < end_hva}
        self.young -= found
        return bool(found)


class Process:
    """``Mm`` with its coroutines run at once; other attributes are those of ``Mm``."""

    def __init__(self, **options):
        self.sched = Scheduler()
        self.trace = EventTrace()
        self.mm = Mm(self.trace, sched=self.sched, **options)
        self.listener = Listener()
        self.mm.notifiers.append(self.listener)

    def __getattr__(self, name):
        value = getattr(self.mm, name)
        if not getattr(value, "__code__", None) or not value.__code__.co_flags & 0x80:
            return value
        return lambda *args, **options: self.sched.run("kvmtrace", value(*args, **options))

    def fill(self, hva, nbytes, stride=K4):
        """Write to each page of a range."""
        for here in range(hva, hva + nbytes, stride):
            self.write(here, 0xA5)

    def heard(self, base):
        """Return the calls since the last time, as [start, end] relative to *base*.

        A third item lists the calls inside.
        """
        assert not self.listener.open
        calls, self.listener.calls = self.listener.calls, []
        self.mm.check()
        return _relative(calls, base)

    def events(self, *kinds):
        """Return the events of *kinds* since the last time."""
        found = [event for event in self.trace.events() if isinstance(event, kinds)]
        self.trace.records.clear()
        return found


def _relative(calls, base):
    return [
        [start - base, end - base] + ([_relative(inner, base)] if inner else [])
        for start, end, inner in calls
    ]
