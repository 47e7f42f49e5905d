from kvmmu_edu.sync.locks import Mutex
from kvmmu_edu.trace.recorder import EventTrace
from kvmmu_widgets.experiments.stops import Stops


def work(sched, lock, done):
    async def steps():
        await sched.checkpoint("here")
        done.append("checkpoint")
        async with lock:
            done.append("lock")

    return steps()


def test_a_task_suspends_at_checkpoints_and_locks():
    sched, done = Stops(), []
    lock = Mutex("lock", sched, EventTrace())
    sched.stop()
    task = sched.spawn("t", work(sched, lock, done))
    seen = []
    while sched.step(task):
        seen.append(list(done))
    assert seen == [[], ["checkpoint"], ["checkpoint", "lock"]]


def test_it_runs_freely_at_first_and_again_afterwards():
    sched, done = Stops(), []
    lock = Mutex("lock", sched, EventTrace())
    sched.run("t", work(sched, lock, done))
    assert done == ["checkpoint", "lock"]
    sched.stop()
    sched.stop(stopping=False)
    task = sched.spawn("t", work(sched, lock, done))
    assert sched.step(task)
    assert task.done
