import pytest

from kvmmu_edu.errors import Deadlock, InvariantError
from kvmmu_edu.sync.locks import Mutex, RwLock, Spinlock
from kvmmu_edu.sync.task import READY, Checkpoint, Scheduler, Suspend
from kvmmu_edu.trace.events import LockAcquired, LockReleased
from tests.sync.bench import Exploring, Flag, traced


@pytest.fixture(params=[Scheduler, Exploring])
def sched(request):
    return request.param()


@pytest.fixture
def trace(sched):
    return traced(sched)


@pytest.fixture
def mmu_lock(sched, trace):
    return RwLock("mmu_lock", sched, trace)


@pytest.fixture
def slots_lock(sched, trace):
    return Mutex("slots_lock", sched, trace)


async def hold(guard, story, name, inside=None):
    async with guard:
        story.append(f"{name} in")
        if inside is not None:
            await inside
        story.append(f"{name} out")


def exclude(sched, guard_a, guard_b, gate):
    """Run two tasks, the first of which waits for *gate* while it holds its lock."""
    story = []
    a = sched.spawn("a", hold(guard_a, story, "a", gate))
    b = sched.spawn("b", hold(guard_b, story, "b"))
    sched.step(a)
    if sched.free_running is False:
        sched.step(a)  # it was announced, now it is taken
    for _ in range(3):
        sched.step(b)
    return story, a, b


@pytest.fixture
def gate():
    return Flag("the gate")


async def through(gate):
    await Suspend((gate,))


# --- who keeps whom out --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        ("read", "read", True),
        ("read", "write", False),
        ("write", "read", False),
        ("write", "write", False),
    ],
)
def test_modes_of_a_reader_writer_lock(sched, mmu_lock, gate, first, second, together):
    guards = {"read": mmu_lock.read, "write": mmu_lock.write}
    story, *tasks = exclude(sched, guards[first], guards[second], through(gate))
    assert ("b in" in story) == together
    gate.up = True
    sched.run_all(*[task for task in tasks if not task.done])
    assert sorted(story) == ["a in", "a out", "b in", "b out"]
    if not together:
        assert story == ["a in", "a out", "b in", "b out"]
    mmu_lock.check()


@pytest.mark.parametrize("kind", [Mutex, Spinlock])
def test_a_mutex_lets_one_in(sched, trace, gate, kind):
    lock = kind("lock", sched, trace)
    story, *tasks = exclude(sched, lock, lock, through(gate))
    assert story == ["a in"]
    gate.up = True
    sched.run_all(*tasks)
    assert story == ["a in", "a out", "b in", "b out"]


def test_a_writer_waits_for_the_last_reader(sched, mmu_lock, gate):
    story = []
    readers = [sched.spawn(n, hold(mmu_lock.read, story, n, through(gate))) for n in ("r1", "r2")]
    writer = sched.spawn("w", hold(mmu_lock.write, story, "w"))
    for _ in range(2):
        for task in readers:
            sched.step(task)
    sched.step(writer)
    assert not sched.step(writer)
    assert writer.request.describe() == "mmu_lock (write), held by r1, r2"
    gate.up = True
    sched.run_all(*readers, writer)
    assert story[-2:] == ["w in", "w out"]


def test_lock_and_unlock_in_different_functions(sched, slots_lock):
    async def program():
        await slots_lock.lock()
        slots_lock.assert_held()
        slots_lock.unlock()
        return slots_lock.holders()

    assert sched.run("ioctl", program()) == "nobody"


def test_an_error_inside_releases_the_lock(sched, mmu_lock):
    async def program():
        async with mmu_lock.write:
            raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"):
        sched.run("ioctl", program())
    mmu_lock.check()


# --- when one has to suspend ---------------------------------------------------------------------


def test_a_free_lock_is_taken_at_once_only_when_running_free(sched, slots_lock):
    async def program():
        got = slots_lock.take("lock")
        at_once = got is READY
        await got
        slots_lock.unlock()
        return at_once

    assert sched.run("ioctl", program()) == sched.free_running


def test_an_exploring_driver_sees_each_acquisition_before_it_happens(trace):
    sched = Exploring()
    lock = Mutex("slots_lock", sched, trace)
    task = sched.spawn("ioctl", hold(lock, [], "a"))
    sched.step(task)
    assert task.request.lock is lock
    assert lock.holders() == "nobody"


# --- what goes wrong -----------------------------------------------------------------------------


def test_two_locks_in_opposite_order_deadlock(sched, trace):
    a, b = Mutex("a", sched, trace), Mutex("b", sched, trace)

    async def program(first, second):
        async with first:
            await Suspend((Checkpoint(()),))
            async with second:
                pass

    sched.spawn("t1", program(a, b))
    sched.spawn("t2", program(b, a))
    with pytest.raises(Deadlock) as caught:
        sched.run_all()
    assert str(caught.value) == (
        "t1 waits for b (lock), held by t2; t2 waits for a (lock), held by t1"
    )


def test_taking_a_mutex_twice_deadlocks(sched, slots_lock):
    async def program():
        async with slots_lock, slots_lock:
            pass

    message = r"ioctl waits for slots_lock \(lock\), held by ioctl"
    with pytest.raises(Deadlock, match=message):
        sched.run("ioctl", program())


@pytest.mark.parametrize(
    ("held", "wanted", "good"),
    [
        ("read", None, True),
        ("read", "read", True),
        ("read", "write", False),
        ("write", None, True),
        ("write", "write", True),
        ("write", "read", True),
    ],
)
def test_assert_held(sched, mmu_lock, held, wanted, good):
    async def program():
        async with getattr(mmu_lock, held):
            mmu_lock.assert_held(wanted)

    if good:
        sched.run("vcpu0", program())
    else:
        with pytest.raises(InvariantError, match=r"vcpu0 needs mmu_lock \(write\), held by vcpu0"):
            sched.run("vcpu0", program())


def test_a_lock_of_somebody_else_is_not_held(sched, mmu_lock):
    with pytest.raises(InvariantError, match=r"swapper needs mmu_lock \(any\), held by nobody"):
        mmu_lock.assert_held()


def test_check_names_who_forgot_to_release(sched, slots_lock):
    async def program():
        await slots_lock.lock()

    sched.run("ioctl", program())
    with pytest.raises(InvariantError, match="slots_lock is held by ioctl but no task runs"):
        slots_lock.check()


# --- what is told --------------------------------------------------------------------------------


def test_every_acquisition_is_counted_by_lock_and_mode(sched, trace, mmu_lock, slots_lock):
    async def program():
        async with slots_lock:
            async with mmu_lock.read:
                pass
            async with mmu_lock.read:
                pass
            async with mmu_lock.write:
                pass

    sched.run("ioctl", program())
    assert trace.counters.locks == {
        ("slots_lock", "lock"): 1,
        ("mmu_lock", "read"): 2,
        ("mmu_lock", "write"): 1,
    }


def test_events_tell_who_took_and_released(sched, trace, slots_lock):
    sched.run("ioctl", hold(slots_lock, [], "a"))
    assert [(record.task, record.event) for record in trace.records] == [
        ("ioctl", LockAcquired("slots_lock", "lock")),
        ("ioctl", LockReleased("slots_lock", "lock")),
    ]
