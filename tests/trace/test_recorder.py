import pytest

from kvmmu_edu.sync.locks import Mutex
from kvmmu_edu.sync.task import Scheduler
from kvmmu_edu.trace.events import GuestEntered, GuestLeft, LockAcquired, SynchronizeSrcu
from kvmmu_edu.trace.recorder import EventTrace, Record, StepTrace, Trace

SINKS = [Trace, EventTrace, StepTrace]


@pytest.mark.parametrize("sink", SINKS)
def test_every_sink_counts(sink):
    trace = sink()
    trace.emit(SynchronizeSrcu, "kvm_swap_active_memslots")
    trace.emit(GuestEntered, 0)
    assert trace.counters.counts["synchronize_srcu"] == 1


@pytest.mark.parametrize(("sink", "kept"), [(Trace, 0), (EventTrace, 2), (StepTrace, 2)])
def test_what_a_sink_keeps(sink, kept):
    trace = sink()
    trace.emit(GuestEntered, 0)
    trace.emit(GuestLeft, 0)
    assert trace.events() == [GuestEntered(0), GuestLeft(0)][:kept]
    assert len(trace.records) == kept
    assert trace.keeps_events == bool(kept)


def test_only_a_trace_of_steps_keeps_steps():
    assert [sink.keeps_steps for sink in SINKS] == [False, False, True]


def test_without_a_sink_for_events_none_is_built():
    class Costly:
        def __init__(self, *_values):
            raise AssertionError("an event was built that nobody keeps")

    Trace().emit(Costly, 1, 2)
    trace = EventTrace()
    trace.emit(Costly, 1, 2)
    with pytest.raises(AssertionError, match="an event was built"):
        trace.events()


def test_records_are_numbered_in_order():
    trace = EventTrace()
    for number in range(3):
        trace.emit(GuestEntered, number)
    assert trace.records == [Record(n, "", GuestEntered(n), ()) for n in range(3)]


def test_a_record_says_which_task_it_was():
    sched = Scheduler()
    trace = EventTrace()
    trace.attach(sched)

    async def program():
        trace.emit(GuestEntered, 0)

    sched.run("vcpu0", program())
    trace.emit(GuestLeft, 0)
    assert [record.task for record in trace.records] == ["vcpu0", "swapper"]


def model(trace, depth):
    """Emit from *depth* nested functions of a module that is part of the story."""
    namespace = {"__name__": "kvmmu_edu.x86.made_up", "emit": trace.emit, "Kind": GuestEntered}
    code = "def f0():\n    emit(Kind, 0)\n" + "".join(
        f"def f{n}():\n    f{n - 1}()\n" for n in range(1, depth)
    )
    exec(compile(code, "made_up.py", "exec"), namespace)
    namespace[f"f{depth - 1}"]()


def test_a_step_has_the_lines_that_led_to_it_innermost_first():
    trace = StepTrace()
    model(trace, 3)
    [record] = trace.records
    assert [(s.code.co_name, s.line) for s in record.sites] == [("f0", 2), ("f1", 4), ("f2", 6)]


def test_the_innermost_dozen_of_calls_is_enough():
    trace = StepTrace()
    model(trace, 20)
    [record] = trace.records
    assert [site.code.co_name for site in record.sites] == [f"f{n}" for n in range(12)]


def test_lines_that_explain_nothing_about_kvm_are_left_out():
    sched, trace = Scheduler(), StepTrace()
    lock = Mutex("slots_lock", sched, trace)

    async def program():
        async with lock:
            pass

    sched.run("ioctl", program())
    assert trace.records[0].event == LockAcquired("slots_lock", "lock")
    assert trace.records[0].sites == ()
