"""Running a scenario: each of its operations in turn, with its results and statistics.

The modules beside this one carry operations out; each is named after what it operates on.

Ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from kvmmu_edu.choices import Choices
from kvmmu_edu.errors import KvmError, UsageError
from kvmmu_edu.host.gup import HostFault
from kvmmu_edu.scenario import (  # noqa: F401 - they register what they carry out
    dirty_operations,
    host_operations,
    slot_operations,
    vm_operations,
)
from kvmmu_edu.scenario.driver import PERFORMERS, Driver
from kvmmu_edu.scenario.grammar import Operation
from kvmmu_edu.scenario.guest_work import give_turns, parts_of, prepare
from kvmmu_edu.scenario.headers import PayloadAt
from kvmmu_edu.scenario.language import Scenario, Statement
from kvmmu_edu.scenario.meta import Machine
from kvmmu_edu.scenario.operations import GuestAccesses, Stats
from kvmmu_edu.scenario.results import Result, changed, statistics
from kvmmu_edu.scenario.turns import TurnScheduler
from kvmmu_edu.trace import ftrace
from kvmmu_edu.trace.recorder import EventTrace, Record, Trace
from kvmmu_edu.vm import Vm

_NESTED: Final = "needs nested guests, which this version does not model"


@dataclass(frozen=True, slots=True)
class Run:
    """A scenario that was run.

    :ivar choices: the kernel that was modelled
    :ivar results: one for each operation, then one with the final statistics
    :ivar vm: the VM as the last operation left it
    :ivar has_trace: whether events were kept
    """

    scenario: Scenario
    choices: Choices
    results: tuple[Result, ...]
    vm: Vm
    has_trace: bool

    @property
    def records(self) -> list[Record]:
        """The events, with their numbers and tasks."""
        return self.vm.trace.records

    def trace_lines(self) -> Iterator[str]:
        """Yield the trace as ftrace would print it, line by line."""
        return ftrace.render(self.records, self.choices)

    def trace_text(self) -> str | None:
        """Return the whole trace file, or None if no events were kept."""
        return ftrace.render_text(self.records, self.choices) if self.has_trace else None


class Runner:
    """Runs the statements of one scenario.

    :ivar choices: the kernel that is modelled
    :ivar vm: the VM that the operations act upon
    """

    def __init__(
        self, scenario: Scenario, machine: Machine, *, check_every: int, trace: Trace | None
    ) -> None:
        """Make the VM of a scenario; nothing has run yet.

        :raises UsageError: when the machine needs what is not modelled
        """
        self.scenario = scenario
        self.check_every = check_every
        self.choices = Choices(kernel=machine.kernel)
        if trace is None:
            trace = Trace() if scenario.directives.notrace else EventTrace()
        sched = TurnScheduler()
        try:
            self.vm = Vm(
                choices=self.choices,
                params=replace(machine.params),
                trace=trace,
                thp=machine.thp,
                hugepages2m=machine.hugepages2m,
                hugepages1g=machine.hugepages1g,
                # the emulated CPUs of the recordings forget everything at each entry
                tlb_empty_at_entry=True,
                sched=sched,
            )
        except UsageError as error:
            raise UsageError(f"{scenario.path}: {error}") from None
        self.driver = Driver(self.vm, sched)

    def results(self) -> Iterator[Result]:
        """Run the operations one after the other; yield the result of each, then the final one.

        :raises UsageError: naming the line of what cannot be run
        """
        try:
            yield from self._results()
        finally:
            # the process ends here, and with it what its vCPUs still do
            self.driver.sched.abandon_all()

    def _results(self) -> Iterator[Result]:
        self.driver.map_payload(self._payload())
        n = 0
        for statement in self.scenario.statements:
            try:
                refuse_unmodelled(statement.operation)
                if statement.operation.is_header:
                    self.driver.configure(statement.operation)
                    continue
                n += 1
                yield self._operation(n, statement)
            except (UsageError, KvmError) as error:
                raise UsageError(f"{self._place(statement)}: {error}") from None
            except HostFault as error:
                expected = "expected memory that the process may access"
                raise UsageError(f"{self._place(statement)}: {error}; {expected}") from None
        yield {"final": True, "stats": statistics(self.vm.counters)}

    def _place(self, statement: Statement) -> str:
        return f"{self.scenario.path}:{statement.line}"

    def _payload(self) -> PayloadAt:
        """Return the payload that is in force when the VM is made."""
        place = self.driver.settings.payload
        for statement in self.scenario.statements:
            if isinstance(statement.operation, PayloadAt):
                place = statement.operation
            elif not statement.operation.is_header and not statement.early:
                break
        return place

    def _operation(self, n: int, statement: Statement) -> Result:
        operation = statement.operation
        for part in parts_of(operation):
            refuse_unmodelled(part)
        if not statement.early:
            self.driver.set_up(statement.line)
        before = statistics(self.vm.counters)
        prepare(self.driver, operation)
        with self.vm.operation(statement.text):
            outcome = PERFORMERS[type(operation)](self.driver, statement)
            give_turns(self.driver)
        after = statistics(self.vm.counters)
        # a worker that was woken runs now: what it does belongs to no operation
        self.vm.advance(0)
        if self.check_every and n % self.check_every == 0:
            self.vm.check()
        stats = after if isinstance(operation, Stats) else changed(before, after)
        return {"n": n, "op": statement.text, **outcome, "stats": stats}


def refuse_unmodelled(operation: Operation) -> None:
    """Refuse what needs parts of KVM that are not modelled.

    :raises UsageError: saying which part
    """
    if isinstance(operation, GuestAccesses) and operation.kind.startswith("l2"):
        raise UsageError(f"{operation.kind} {_NESTED}; expected operations without it")


def run_scenario(
    scenario: Scenario,
    machine: Machine | None = None,
    *,
    check_every: int = 1,
    trace: Trace | None = None,
) -> Run:
    """Run a scenario to its end.

    :param machine: the kernel and its parameters; None: Linux 6.12 with what directives ask for
    :param check_every: after how many operations all invariants are checked; 0: never
    :param trace: where events go; None: kept, unless the scenario says ``notrace``
    :raises UsageError: naming the line of what cannot be run
    """
    runner = Runner(scenario, machine or Machine(), check_every=check_every, trace=trace)
    results = tuple(runner.results())
    return Run(scenario, runner.choices, results, runner.vm, runner.vm.trace.keeps_events)
