import pytest

from kvmmu_edu.errors import Deadlock, InvariantError
from kvmmu_edu.sync.rcu import Rcu
from kvmmu_edu.sync.task import Scheduler, Suspend
from tests.sync.bench import Exploring, Flag


@pytest.fixture(params=[Scheduler, Exploring])
def sched(request):
    return request.param()


@pytest.fixture
def rcu(sched):
    return Rcu("rcu", sched)


@pytest.fixture
def srcu(sched):
    return Rcu("kvm->srcu", sched)


class Reader:
    """A task that stays in a read-side section until it is told to leave."""

    def __init__(self, sched, rcu, name="reader"):
        self.leave = Flag("leave")
        self.again = Flag("again")
        self.task = sched.spawn(name, self.program(rcu))
        self.sched = sched
        sched.step(self.task)

    async def program(self, rcu):
        rcu.read_lock()
        await Suspend((self.leave,))
        rcu.read_unlock()
        rcu.read_lock()
        await Suspend((self.again,))
        rcu.read_unlock()

    def next_section(self):
        self.leave.up = True
        self.sched.step(self.task)


async def synchronize(rcu, story):
    await rcu.synchronize()
    story.append("over")


# --- grace periods -------------------------------------------------------------------------------


def test_without_readers_a_grace_period_is_over_at_once(sched, rcu):
    story = []
    sched.run("ioctl", synchronize(rcu, story))
    assert story == ["over"]


def test_a_grace_period_waits_for_a_reader_of_before(sched, rcu):
    reader, story = Reader(sched, rcu), []
    updater = sched.spawn("ioctl", synchronize(rcu, story))
    sched.step(updater)
    assert not sched.step(updater)
    assert story == []
    reader.next_section()
    assert sched.step(updater)
    assert story == ["over"]


def test_it_does_not_wait_for_a_later_section_of_the_same_task(sched, rcu):
    reader = Reader(sched, rcu)
    period = rcu.grace_period()
    assert not period.ready()
    reader.next_section()
    assert reader.task in rcu.readers  # reading again already
    assert period.ready()


def test_it_does_not_wait_for_readers_that_come_later(sched, rcu):
    period = rcu.grace_period()
    Reader(sched, rcu)
    assert period.ready()


def test_it_waits_for_all_of_several_readers(sched, rcu):
    readers = [Reader(sched, rcu, name) for name in ("vcpu0", "vcpu1")]
    period = rcu.grace_period()
    assert period.describe() == "a grace period of rcu, readers: vcpu0, vcpu1"
    readers[0].next_section()
    assert not period.ready()
    readers[1].next_section()
    assert period.ready()


def test_nested_sections_count_as_one(sched, rcu):
    periods = []

    async def program():
        rcu.read_lock()
        periods.append(rcu.grace_period())
        rcu.read_lock()
        rcu.read_unlock()
        inner = periods[0].ready()
        rcu.read_unlock()
        return inner, periods[0].ready()

    assert sched.run("vcpu0", program()) == (False, True)


def test_waiting_inside_ones_own_section_deadlocks(sched, rcu):
    async def program():
        rcu.read_lock()
        await rcu.synchronize()

    with pytest.raises(Deadlock, match="vcpu0 waits for a grace period of rcu, readers: vcpu0"):
        sched.run("vcpu0", program())


# --- RCU and SRCU --------------------------------------------------------------------------------


def test_the_two_flavours_do_not_know_of_each_other(sched, rcu, srcu):
    reader = Reader(sched, srcu)
    assert rcu.grace_period().ready()
    period = srcu.grace_period()
    assert not period.ready()
    reader.next_section()
    assert period.ready()


def test_held_is_a_question_about_the_current_task(sched, rcu, srcu):
    Reader(sched, rcu)

    async def program():
        srcu.read_lock()
        held = rcu.read_lock_held(), srcu.read_lock_held()
        srcu.read_unlock()
        return held, srcu.read_lock_held()

    assert sched.run("vcpu0", program()) == ((False, True), False)


# --- callbacks -----------------------------------------------------------------------------------


def test_a_callback_runs_after_a_grace_period(sched, rcu):
    reader, freed = Reader(sched, rcu), []
    rcu.call(lambda: freed.append("table 7"))
    rcu.run_callbacks()
    assert freed == []
    reader.next_section()
    rcu.run_callbacks()
    assert freed == ["table 7"]
    rcu.run_callbacks()
    assert freed == ["table 7"]


def test_callbacks_wait_each_for_its_own_readers(sched, rcu):
    freed = []
    rcu.call(lambda: freed.append("early"))
    Reader(sched, rcu)
    rcu.call(lambda: freed.append("late"))
    rcu.run_callbacks()
    assert freed == ["early"]
    assert len(rcu.callbacks) == 1


def test_a_callback_may_queue_another(sched, rcu):
    freed = []
    rcu.call(lambda: rcu.call(lambda: freed.append("second")))
    rcu.run_callbacks()
    assert freed == []
    rcu.run_callbacks()
    assert freed == ["second"]


# --- check ---------------------------------------------------------------------------------------


def test_check_names_who_is_still_reading(sched, rcu):
    rcu.check()
    Reader(sched, rcu, "vcpu1")
    with pytest.raises(InvariantError, match="rcu: vcpu1 in a read-side section but no task runs"):
        rcu.check()
