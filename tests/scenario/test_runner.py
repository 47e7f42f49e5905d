import pytest

from kvmmu_edu.errors import InvariantError, UsageError
from kvmmu_edu.scenario.language import parse_scenario
from kvmmu_edu.scenario.meta import Machine
from kvmmu_edu.scenario.runner import run_scenario
from kvmmu_edu.trace.events import OperationBegin, OperationEnd
from kvmmu_edu.trace.recorder import StepTrace
from kvmmu_edu.trace.stats import VM_STATS

TOUCH = "mem A anon4k 1M\nslot 0 0x100000 1M - A\nwrite 0x100000  # the first\nstats"


def test_each_operation_has_its_number_its_text_and_what_it_changed(run):
    found = run(TOUCH).results
    assert [result.get("n") for result in found] == [1, 2, 3, 4, None]
    assert found[2]["op"] == "write 0x100000  # the first"
    assert found[2]["stats"]["vm.pages_4k"] == [0, 4]
    assert found[1]["stats"] == {}


def test_stats_and_the_last_line_are_absolute(run):
    stats, final = run(TOUCH).results[3:]
    assert final["final"] is True
    assert stats["stats"] == final["stats"]
    assert {f"vm.{name}" for name in VM_STATS} <= stats["stats"].keys()
    assert stats["stats"]["v0.pf_taken"] == 4


def test_marks_surround_each_operation_and_nothing_else(run):
    found = run(TOUCH)
    marks = [r.event for r in found.records if isinstance(r.event, OperationBegin | OperationEnd)]
    assert [(type(mark).__name__, mark.n) for mark in marks] == [
        (kind, n) for n in (1, 2, 3, 4) for kind in ("OperationBegin", "OperationEnd")
    ]


def test_payload_and_vcpus_come_before_the_first_operation_that_is_not_early(run):
    found = run("early stats\nstats")
    assert "v0.pf_taken" not in found.results[0]["stats"]
    assert "v0.pf_taken" in found.results[1]["stats"]
    lines = list(found.trace_lines())
    created = [n for n, line in enumerate(lines) if "set_memslot:" in line]
    marks = [n for n, line in enumerate(lines) if "tracing_mark_write:" in line]
    assert len(created) == 1
    assert marks[1] < created[0] < marks[2]


def test_the_payload_lies_above_memory_that_is_mapped_early(run):
    vm = run("early mem A anon4k 1M\nstats").vm
    payload = [name for name in vm.kvm.mm.mappings if name != "A"]
    assert vm.host.mapping(payload[0])[0] > vm.host.mapping("A")[0]


def test_header_lines_between_count_as_no_operation(run):
    found = run("cap 168 1\nmode long64 1g\nstats").results
    assert [result.get("op") for result in found] == ["cap 168 1", "stats", None]


def test_a_worker_that_was_woken_works_between_operations(run):
    found = run(
        "#! module kvm nx_huge_pages=force nx_huge_pages_recovery_period_ms=3600000\n"
        "mem B thp 2M\nhostwrite B\nslot 0 0x400000 2M - B\nexec 0x400000\n"
        "param kvm/nx_huge_pages_recovery_ratio 1\nsleep 500\n"
        "param kvm/nx_huge_pages_recovery_period_ms 200\nstats"
    )
    woken, stats = found.results[6:8]
    assert woken["op"].startswith("param")
    assert woken["stats"] == {}
    assert stats["stats"]["vm.nx_lpage_splits"] == 0
    assert found.results[3]["stats"]["vm.nx_lpage_splits"] == [0, 1]


def test_notrace_keeps_no_events(run):
    found = run("#! notrace\n" + TOUCH)
    assert not found.has_trace
    assert found.trace_text() is None
    assert found.results == run(TOUCH).results


def test_a_trace_may_be_chosen():
    trace = StepTrace()
    run_scenario(parse_scenario(TOUCH), trace=trace)
    assert any(record.sites for record in trace.records)


def test_two_runs_are_equal(run):
    first, second = run(TOUCH), run(TOUCH)
    assert first.results == second.results
    assert first.trace_text() == second.trace_text()


def test_the_machine_is_left_as_it_was():
    machine = Machine()
    run_scenario(parse_scenario("param kvm/eager_page_split"), machine)
    assert machine == Machine()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("stats\nl2read 0x1000", "x:2: l2read needs nested guests, which this version does not"),
        ("l2write 0x1000", "x:1: l2write needs nested guests"),
        ("dirtyring 5000\nstats", "x:2: EINVAL: a ring of 5000 bytes: expected a power of two"),
        ("ring 0", "x:1: this vCPU has no dirty ring"),
        ("ring 1", "x:1: there is no vCPU 1"),
        ("#! module kvm_amd npt=0", "x: npt=N needs shadow paging"),
        ("v1 read 0x1000", "x:1: there is no vCPU 1"),
        ("stats\nmode flat32", "x:2: this header comes too late"),
        ("mem A anon4k 1M\nmem A anon4k 1M", "x:2: "),
        ("slot 0 0 1M - A", "x:1: 'A' is not mapped"),
        ("mode long64 own\nread 0x400000", "x:2: the guest's page tables do not map 0x400000"),
    ],
)
def test_what_cannot_be_run_is_told_with_its_line(text, why):
    from kvmmu_edu.scenario.meta import machine_of

    scenario = parse_scenario(text, path="x")
    with pytest.raises(UsageError) as caught:
        run_scenario(scenario, machine_of(scenario.directives, None))
    assert str(caught.value).startswith(why)
    assert "\n" not in str(caught.value)


def broken_after(monkeypatch, n):
    from kvmmu_edu.vm import Vm

    calls = []

    def check(_vm):
        calls.append(1)
        if len(calls) == n:
            raise InvariantError("two things differ")

    monkeypatch.setattr(Vm, "check", check)
    return calls


def test_invariants_are_checked_after_each_operation(monkeypatch):
    calls = broken_after(monkeypatch, 3)
    with pytest.raises(InvariantError, match="two things differ"):
        run_scenario(parse_scenario(TOUCH))
    assert len(calls) == 3


@pytest.mark.parametrize(("every", "times"), [(0, 0), (1, 4), (3, 1)])
def test_how_often_is_a_choice(monkeypatch, every, times):
    calls = broken_after(monkeypatch, -1)
    run_scenario(parse_scenario(TOUCH), check_every=every)
    assert len(calls) == times
