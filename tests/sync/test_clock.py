import pytest

from kvmmu_edu.errors import Deadlock
from kvmmu_edu.sync.clock import MAX_SCHEDULE_TIMEOUT, VirtualClock
from kvmmu_edu.sync.task import Scheduler, Suspend


@pytest.fixture
def clock():
    return VirtualClock(Scheduler())


async def every(clock, period_ms, times, story, name):
    for _ in range(times):
        await clock.sleep(period_ms)
        story.append((clock.now_ms, name))


def test_time_moves_only_when_it_is_told_to(clock):
    assert clock.now_ms == 0
    clock.advance(250)
    assert clock.now_ms == 250


def test_a_sleeper_wakes_at_its_time(clock):
    story = []
    clock.sched.spawn("worker", every(clock, 100, 1, story, "worker"))
    clock.advance(99)
    assert story == []
    clock.advance(1)
    assert story == [(100, "worker")]


def test_workers_run_in_the_order_of_their_alarms(clock):
    story = []
    clock.sched.spawn("slow", every(clock, 100, 2, story, "slow"))
    clock.sched.spawn("fast", every(clock, 40, 4, story, "fast"))
    clock.advance(200)
    assert story == [
        (40, "fast"),
        (80, "fast"),
        (100, "slow"),
        (120, "fast"),
        (160, "fast"),
        (200, "slow"),
    ]
    assert clock.now_ms == 200


def test_an_alarm_in_the_past_is_ready_at_once(clock):
    story = []
    clock.sched.spawn("worker", every(clock, 0, 2, story, "worker"))
    clock.advance(0)
    assert story == [(0, "worker"), (0, "worker")]


def test_who_sleeps_in_the_foreground_waits_for_ever(clock):
    message = "vcpu0 waits for the time 5 ms, it is 0 ms"
    with pytest.raises(Deadlock, match=message):
        clock.sched.run("vcpu0", every(clock, 5, 1, [], "vcpu0"))


async def naps(clock, ticks, alarms, story):
    while True:
        alarms.append(clock.timeout(ticks))
        await Suspend((alarms[-1],))
        story.append(clock.now_ms)


def test_a_timeout_goes_by_the_timer_wheel(clock):
    story = []
    clock.sched.spawn("worker", naps(clock, 250, [], story), daemon=True)
    clock.advance(3000)
    assert story == [1024, 2048]
    assert clock.jiffies == 750


def test_who_is_woken_does_not_wait_for_the_time(clock):
    story, alarms = [], []
    clock.sched.spawn("worker", naps(clock, MAX_SCHEDULE_TIMEOUT, alarms, story), daemon=True)
    clock.advance(1 << 50)
    assert story == []
    alarms[-1].wake()
    clock.advance(0)
    assert story == [1 << 50]
    clock.advance(1 << 50)
    assert len(story) == 1


def test_who_sleeps_for_ever_waits_for_somebody(clock):
    assert clock.timeout(MAX_SCHEDULE_TIMEOUT).describe() == "somebody to wake it"
