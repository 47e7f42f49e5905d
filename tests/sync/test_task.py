import pytest

from kvmmu_edu.errors import Deadlock
from kvmmu_edu.sync.task import READY, Checkpoint, Scheduler, Suspend
from tests.sync.bench import Flag


@pytest.fixture
def sched():
    return Scheduler()


async def say(story, *words):
    for word in words:
        story.append(word)
        await Suspend((Checkpoint(()),))


# --- what is awaited -----------------------------------------------------------------------------


def test_awaiting_what_is_ready_never_reaches_the_driver():
    async def program():
        await READY
        await READY
        return 7

    with pytest.raises(StopIteration) as stop:
        program().send(None)
    assert stop.value.value == 7


def test_awaiting_a_request_hands_it_to_the_driver():
    flag = Flag()

    async def program():
        await Suspend((flag,))

    coro = program()
    assert coro.send(None) is flag
    coro.close()


def test_a_checkpoint_never_blocks_and_says_what_it_touches():
    point = Checkpoint(("spte", 3, 511))
    assert point.ready()
    assert point.describe() == "checkpoint spte, 3, 511"


def test_nobody_is_told_to_give_way_when_running_free(sched):
    assert sched.checkpoint("spte", 1, 2) is READY
    assert not sched.need_resched()


# --- one task to its end -------------------------------------------------------------------------


def test_run_returns_the_result_and_knows_who_runs(sched):
    async def program():
        return sched.current.name

    assert sched.current is sched.idle
    assert sched.run("vcpu0", program()) == "vcpu0"
    assert sched.current is sched.idle


def test_run_within_run(sched):
    async def inner():
        return sched.current.name

    async def outer():
        return sched.run("inner", inner()), sched.current.name

    assert sched.run("outer", outer()) == ("inner", "outer")


def test_an_error_goes_to_whoever_ran_the_task(sched):
    async def program():
        await READY
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        sched.run("vcpu0", program())
    assert sched.current is sched.idle


def test_background_tasks_do_not_run_while_nobody_blocks(sched):
    story = []
    sched.spawn("worker", say(story, "worker"))
    sched.run("main", say(story, "main 1", "main 2"))
    assert story == ["main 1", "main 2"]
    sched.run_all()
    assert story[-1] == "worker"


def test_others_run_only_as_long_as_the_task_is_blocked(sched):
    flag, story = Flag(), []

    async def waiter():
        await Suspend((flag,))
        story.append("main goes on")

    async def raiser():
        story.append("worker 1")
        await Suspend((Checkpoint(()),))
        flag.up = True
        story.append("worker 2")
        await Suspend((Checkpoint(()),))
        story.append("worker 3")

    sched.spawn("worker", raiser())
    sched.run("main", waiter())
    assert story == ["worker 1", "worker 2", "main goes on"]
    sched.run_all()
    assert story[-1] == "worker 3"


# --- all tasks, in turn --------------------------------------------------------------------------


def test_run_all_takes_turns(sched):
    story = []
    sched.spawn("a", say(story, "a1", "a2", "a3"))
    sched.spawn("b", say(story, "b1"))
    sched.run_all()
    assert story == ["a1", "b1", "a2", "a3"]
    assert sched.tasks == []


def test_run_all_of_some_leaves_the_others(sched):
    story = []
    a = sched.spawn("a", say(story, "a1", "a2"))
    b = sched.spawn("b", say(story, "b1"))
    sched.run_all(a)
    assert story == ["a1", "a2"]
    assert (a.done, b.done) == (True, False)
    sched.run_all()
    assert story == ["a1", "a2", "b1"]


def test_run_all_does_not_wait_for_daemons_but_lets_them_run(sched):
    story, flag = [], Flag()

    async def daemon():
        story.append("daemon")
        flag.up = True
        await Suspend((Flag(),))

    async def waiter():
        await Suspend((flag,))
        story.append("task")

    worker = sched.spawn("worker", daemon(), daemon=True)
    sched.spawn("task", waiter())
    sched.run_all()
    assert story == ["daemon", "task"]
    assert sched.tasks == [worker]


def test_a_task_keeps_its_result(sched):
    async def program():
        return 42

    task = sched.spawn("worker", program())
    assert (task.done, task.result) == (False, None)
    assert sched.step(task)
    assert (task.done, task.result) == (True, 42)
    assert not sched.step(task)


def test_a_task_that_fails_is_over_and_the_error_is_seen(sched):
    async def program():
        await READY
        raise ValueError("mine")

    task = sched.spawn("worker", program())
    with pytest.raises(ValueError, match="mine"):
        sched.step(task)
    assert task.done
    assert sched.tasks == []
    assert sched.current is sched.idle


def test_a_blocked_task_is_not_stepped(sched):
    flag = Flag()

    async def program():
        await Suspend((flag,))

    task = sched.spawn("worker", program())
    assert sched.step(task)
    assert not sched.step(task)
    flag.up = True
    assert sched.step(task)
    assert task.done


# --- deadlock ------------------------------------------------------------------------------------


async def wait_for(flag):
    await Suspend((flag,))


def test_a_deadlock_names_who_waits_for_what(sched):
    sched.spawn("worker", wait_for(Flag("a page, held by nobody")))
    with pytest.raises(Deadlock) as caught:
        sched.run("vcpu0", wait_for(Flag("slots_lock, held by worker")))
    assert str(caught.value) == (
        "vcpu0 waits for slots_lock, held by worker; worker waits for a page, held by nobody"
    )
    assert sched.current is sched.idle


def test_a_deadlock_of_background_tasks(sched):
    sched.spawn("a", wait_for(Flag("b's lock")))
    sched.spawn("b", wait_for(Flag("a's lock")))
    with pytest.raises(Deadlock, match="a waits for b's lock; b waits for a's lock"):
        sched.run_all()


def test_a_task_alone_deadlocks_as_well(sched):
    with pytest.raises(Deadlock, match="vcpu0 waits for godot"):
        sched.run("vcpu0", wait_for(Flag("godot")))


def test_a_task_shows_its_name():
    assert repr(Scheduler().idle) == "<Task swapper>"
