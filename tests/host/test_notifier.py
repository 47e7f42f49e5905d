"""The time in which a range changes: listeners hear of start and end, also when it fails."""

import pytest

from kvmmu_edu.sync.task import Scheduler, Suspend
from tests.host.bench import K4, Listener, Process


def hold(process, start, end, inside=lambda: None):
    async def work():
        async with process.mm.invalidate(start, end):
            inside()

    process.sched.run("kvmtrace", work())


def test_all_listeners_hear_of_both():
    process = Process()
    other = Listener()
    process.notifiers.append(other)
    hold(process, 0, K4)
    assert process.heard(0) == [[0, K4]]
    assert other.calls == [[0, K4, []]]
    assert not other.open


def test_the_end_comes_even_if_the_change_fails():
    process = Process()
    with pytest.raises(ZeroDivisionError):
        hold(process, 0, K4, lambda: 1 // 0)
    assert process.heard(0) == [[0, K4]]


def test_the_change_is_between_start_and_end():
    process = Process()
    seen = []
    hold(process, 0, K4, lambda: seen.append(list(process.listener.open)))
    assert len(seen[0]) == 1
    assert not process.listener.open


def test_others_may_run_after_the_start_and_before_the_change():
    class Exploring(Scheduler):
        def checkpoint(self, *touches):
            points.append((touches, len(process.listener.open)))
            return Suspend()

    points = []
    process = Process()
    process.mm.sched = Exploring()
    hold(process, K4, 2 * K4)
    assert points == [((("host page table", K4, 2 * K4),), 1)]
