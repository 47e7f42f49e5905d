"""The timer wheel: timeouts come late, the later the longer they are.

The kernel sorts timeouts into buckets.  Near ones get a bucket for each tick, far ones share
buckets of 8 ticks, still farther ones of 64, and so on.  A bucket is due when all that is in
it is due, so a timeout is rounded up::

    level             0     1     2     3      4       5
    from (ticks)      0    63   504  4032  32256  258048
    granularity       1     8    64   512   4096   32768

With 250 ticks a second, a worker that sleeps 1000 ms again and again wakes every 1024 ms.

Kernel: kernel/time/timer.c (v6.12)
Simplified: no wheel, only its arithmetic; the model has few timers.
"""

from typing import Final

#: ticks in a second, as Debian configures its kernels
HZ: Final = 250
MS_PER_JIFFY: Final = 1000 // HZ

_LVL_CLK_SHIFT: Final = 3
_LVL_SIZE: Final = 64
_LVL_DEPTH: Final = 9


def msecs_to_jiffies(ms: int) -> int:
    """Return how many ticks *ms* milliseconds last, rounded up.

    >>> msecs_to_jiffies(1000), msecs_to_jiffies(1)
    (250, 1)

    Kernel: msecs_to_jiffies(), include/linux/jiffies.h (v6.12)
    """
    return -(-ms // MS_PER_JIFFY)


def bucket_expiry(now: int, timeout: int) -> int:
    """Return the tick at which a timeout of *timeout* ticks, set at tick *now*, is over.

    >>> bucket_expiry(0, 250), bucket_expiry(256, 250), bucket_expiry(100, 50)
    (256, 512, 151)

    Kernel: calc_wheel_index(), kernel/time/timer.c; calc_index(), kernel/time/timer.c (v6.12)
    """
    level = 0
    while level < _LVL_DEPTH - 1 and timeout >= _lvl_start(level + 1):
        level += 1
    shift = level * _LVL_CLK_SHIFT
    longest = _lvl_start(_LVL_DEPTH)
    if timeout >= longest:
        timeout = longest - (1 << shift)
    return ((now + timeout >> shift) + 1) << shift


def _lvl_start(level: int) -> int:
    return (_LVL_SIZE - 1) << (level - 1) * _LVL_CLK_SHIFT
