import pytest

from kvmmu_edu.errors import Deadlock
from kvmmu_edu.scenario.turns import TurnScheduler
from kvmmu_edu.sync.task import Suspend


@pytest.fixture
def sched():
    return TurnScheduler()


async def steps(sched, name, log, count):
    for n in range(count):
        await sched.checkpoint("guest", name)
        log.append(f"{name}{n}")


def test_tasks_that_take_turns_alternate(sched):
    log = []
    tasks = [sched.spawn(name, steps(sched, name, log, 3)) for name in "ab"]
    sched.play_all(tasks)
    assert log == ["a0", "b0", "a1", "b1", "a2", "b2"]


def test_a_shorter_one_leaves_the_rest_to_the_other(sched):
    log = []
    sched.play_all([sched.spawn(n, steps(sched, n, log, k)) for n, k in (("a", 1), ("b", 3))])
    assert log == ["a0", "b0", "b1", "b2"]


def test_turns_are_counted(sched):
    log = []
    task = sched.spawn("a", steps(sched, "a", log, 9))
    sched.play(task, 2)
    assert log == ["a0"]
    sched.play(task, 3)
    assert log == ["a0", "a1", "a2", "a3"]
    assert not task.done


def test_other_tasks_run_without_giving_way(sched):
    log = []
    sched.run("a", steps(sched, "a", log, 3))
    assert log == ["a0", "a1", "a2"]


def test_who_is_waited_for_goes_on_without_a_turn(sched):
    log = []
    task = sched.spawn("a", steps(sched, "a", log, 2))
    sched.play(task, 1)
    assert log == []

    class UntilDone:
        def ready(self):
            return task.done

        def describe(self):
            return "the end of a"

    async def wait():
        await Suspend((UntilDone(),))
        log.append("done")

    sched.run("b", wait())
    assert log == ["a0", "a1", "done"]
    assert not sched.somebody_waits


def test_a_deadlock_says_who_waits_for_a_turn(sched):
    class Never:
        def ready(self):
            return False

        def describe(self):
            return "the moon"

    async def wait():
        await Suspend((Never(),))

    with pytest.raises(Deadlock, match="waits for the moon"):
        sched.play_all([sched.spawn("a", wait())])


def test_only_guests_give_way(sched):
    async def work():
        await sched.checkpoint("spte", 1)
        return "not asked"

    task = sched.spawn("a", work())
    sched.play(task, 1)
    assert task.result == "not asked"


def test_who_is_abandoned_ends_where_it_is(sched):
    log = []

    async def work():
        try:
            await steps(sched, "a", log, 9)
        finally:
            log.append(f"end of {sched.current.name}")

    sched.play(sched.spawn("vcpu1", work()), 3)
    sched.abandon_all()
    assert log == ["a0", "a1", "end of vcpu1"]
    assert not sched.tasks
