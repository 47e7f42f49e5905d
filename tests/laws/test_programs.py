"""What holds for every program, tried on random ones."""

from hypothesis import given

from kvmmu_edu.trace.stats import VCPU_STATS, Counters, fold
from tests.laws.programs import Machine, machines, programs


@given(machines, programs)
def test_modules_agree_after_every_operation(machine, program):
    made = Machine(machine)
    for operation in program:
        made.do(*operation)
        made.vm.check()
    made.vm.destroy()


@given(machines, programs)
def test_statistics_are_a_fold_over_the_events(machine, program):
    made = Machine(machine, trace="events")
    made.run(program)
    counters = Counters()
    counters.vcpus = [dict.fromkeys(VCPU_STATS, 0) for _ in made.vm.vcpus]
    assert fold(made.vm.trace.events(), counters).flat() == made.vm.counters.flat()


@given(machines, programs)
def test_watching_changes_nothing(machine, program):
    runs = [Machine(machine, trace=trace) for trace in ("none", "events", "steps")]
    answers = [made.run(program) for made in runs]
    assert answers[0] == answers[1] == answers[2]
    assert len({made.vm.state_hash() for made in runs}) == 1
    assert runs[0].vm.counters.flat() == runs[1].vm.counters.flat() == runs[2].vm.counters.flat()


@given(machines, programs)
def test_the_grain_of_a_walk_changes_nothing(machine, program):
    runs = [Machine(machine, grain=grain) for grain in (1, 7, 512)]
    answers = [made.run(program) for made in runs]
    assert answers[0] == answers[1] == answers[2]
    assert len({made.vm.state_hash() for made in runs}) == 1
    assert runs[0].vm.counters.flat() == runs[1].vm.counters.flat() == runs[2].vm.counters.flat()


@given(machines, programs)
def test_the_same_program_gives_the_same_run(machine, program):
    first, second = Machine(machine, trace="events"), Machine(machine, trace="events")
    assert first.run(program) == second.run(program)
    assert [str(event) for event in first.vm.trace.events()] == [
        str(event) for event in second.vm.trace.events()
    ]
