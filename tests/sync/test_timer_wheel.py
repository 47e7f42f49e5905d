"""The arithmetic of the timer wheel."""

import pytest

from kvmmu_edu.sync.timer_wheel import HZ, MS_PER_JIFFY, bucket_expiry, msecs_to_jiffies


def test_a_tick_is_four_milliseconds():
    assert (HZ, MS_PER_JIFFY) == (250, 4)
    assert [msecs_to_jiffies(ms) for ms in (0, 1, 4, 5, 1000)] == [0, 1, 1, 2, 250]


@pytest.mark.parametrize(
    ("timeout", "granularity"),
    [(0, 1), (62, 1), (63, 8), (503, 8), (504, 64), (4031, 64), (4032, 512), (258048, 32768)],
)
def test_longer_timeouts_are_rounded_more(timeout, granularity):
    for now in (0, 1, 7, 12345):
        late = bucket_expiry(now, timeout) - (now + timeout)
        assert bucket_expiry(now, timeout) % granularity == 0
        assert 0 < late <= granularity


def test_a_second_again_and_again():
    times = [0]
    for _ in range(4):
        times.append(bucket_expiry(times[-1], msecs_to_jiffies(1000)))
    assert [time * MS_PER_JIFFY for time in times] == [0, 1024, 2048, 3072, 4096]


def test_a_timeout_beyond_the_wheel_ends_at_its_capacity():
    capacity = 63 << 24
    assert bucket_expiry(0, 1 << 40) == capacity
    assert bucket_expiry(0, capacity - 1) == capacity
