"""Guest work: programs run by one vCPU, by several in turn, or in the background.

vCPUs that run at once take turns of one instruction each.  A vCPU in the background stays
in guest mode between its turns, so that flushes have somebody to kick; it gets its turns at
the end of each operation.

Ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from kvmmu_edu.errors import KvmError, UsageError
from kvmmu_edu.scenario.driver import Driver, Outcome, performs
from kvmmu_edu.scenario.grammar import Operation
from kvmmu_edu.scenario.operations import (
    Background,
    GuestAccesses,
    GuestStore,
    Invlpg,
    Join,
    OnVcpu,
    Par,
    ReloadCr3,
)
from kvmmu_edu.scenario.programs import JUMP_BACK, JUMP_BACK_BYTES, instructions, targets
from kvmmu_edu.sync.task import Task
from kvmmu_edu.x86.guest import Exit, Instruction
from kvmmu_edu.x86.run import vcpu_run

#: how many instructions a vCPU in the background begins during each operation
TURNS: Final = 8
#: how long the driver waits after it started work in the background
_HEAD_START_MS: Final = 50


@dataclass(slots=True)
class Work:
    """What a vCPU was asked to do, and how far it is.

    :ivar others: what other vCPUs do at the same time
    :ivar in_background: whether the driver does not wait for it yet
    :ivar exits: what user space saw
    :ivar at: the instruction that it is at, or None before the first
    :ivar failed: the errno of KVM_RUN, or an empty text
    :ivar task: what runs it, if it shares the time with others
    """

    others: list["Work"] = field(default_factory=list)
    in_background: bool = False
    exits: list[Exit] = field(default_factory=list)
    at: Instruction | None = None
    failed: str = ""
    task: Task | None = None

    def may_cut_short(self) -> bool:
        """Return whether repeating the last instruction cannot be noticed any more."""
        if self.in_background or self.exits:
            return False
        return all(work.task is not None and work.task.done for work in self.others)

    def followed(self, program: Iterator[Instruction]) -> Iterator[Instruction]:
        """Yield the instructions of a program and remember where it is."""
        for self.at in program:
            yield self.at


def prepare(driver: Driver, operation: Operation) -> None:
    """Do what the driver does before the mark of an operation: store code to execute.

    A jump is stored at each target, through the slot's host mapping; nothing where no slot is.
    """
    for part in parts_of(operation):
        if isinstance(part, GuestAccesses) and part.kind == "exec":
            for gpa in targets(part, driver.program().mode):
                region = driver.find_region(gpa)
                if region is not None:
                    hva = region.hva + gpa - region.gpa
                    driver.memory.write(hva, JUMP_BACK, JUMP_BACK_BYTES)


def parts_of(operation: Operation) -> tuple[Operation, ...]:
    """Return the operations that an operation is made of: itself, or those of its vCPUs."""
    if isinstance(operation, Par):
        return tuple(part.operation for part in operation.parts)
    if isinstance(operation, Background):
        return (operation.part.operation,)
    return (operation,)


async def _run(driver: Driver, part: OnVcpu, work: Work) -> None:
    """Run a program; that KVM_RUN fails is something that the scenario gets told."""
    program = instructions(part.operation, driver.program(), work.may_cut_short)
    vcpu = driver.vcpu(part.vcpu).state
    try:
        await vcpu_run(vcpu, work.followed(program), work.exits)
    except KvmError as error:
        work.failed = error.name


def exits_of(work: Work) -> list[dict[str, Any]]:
    """Return the exits of a program as result.jsonl has them."""
    found = [_exit(one) for one in work.exits]
    if work.failed:
        at = work.at or Instruction(0)
        return [*found, {"run": work.failed, "rip": hex(at.rip or 0), "rdi": hex(at.rdi)}]
    if work.exits and work.exits[-1].reason != "MMIO":
        return found
    # the port I/O that ends each program
    return [*found, {"exit": "IO"}]


def _exit(one: Exit) -> dict[str, Any]:
    if one.reason == "MMIO":
        place = {"gpa": hex(one.gpa), "len": one.length, "write": int(one.is_write)}
        return {"exit": "MMIO"} | place
    where = {"exit": one.reason, "code": one.code, "rip": hex(one.rip), "rdi": hex(one.rdi)}
    return where | ({"suberror": one.suberror} if one.suberror else {})


def _spawn(driver: Driver, part: OnVcpu, work: Work) -> Task:
    return driver.sched.spawn(f"vcpu{part.vcpu}", _run(driver, part, work))


def _refuse_busy(driver: Driver, vcpu: int) -> None:
    driver.vcpu(vcpu)
    if vcpu in driver.work:
        raise UsageError(f"v{vcpu} still works in the background; expected join v{vcpu} before")


@performs(GuestAccesses)
@performs(GuestStore)
@performs(Invlpg)
@performs(ReloadCr3)
def perform_guest_work(driver: Driver, operation: Operation, vcpu: int) -> Outcome:
    """Let one vCPU run a program to its end."""
    _refuse_busy(driver, vcpu)
    work = Work(list(driver.work.values()))
    driver.vm.run(_run(driver, OnVcpu(vcpu, operation), work), task=f"vcpu{vcpu}")
    return {"rc": 0, "exits": exits_of(work)}


@performs(Par)
def perform_par(driver: Driver, operation: Par, _vcpu: int) -> Outcome:
    """Let several vCPUs take turns until all have ended."""
    for part in operation.parts:
        _refuse_busy(driver, part.vcpu)
    works = [Work() for _ in operation.parts]
    for part, work in zip(operation.parts, works, strict=True):
        work.others = [other for other in works if other is not work]
        work.task = _spawn(driver, part, work)
    driver.sched.play_all([work.task for work in works if work.task is not None])
    exits: list[dict[str, Any]] = []
    for part, work in zip(operation.parts, works, strict=True):
        exits += [{"v": part.vcpu}, *exits_of(work)]
    return {"rc": 0, "exits": exits}


@performs(Background)
def perform_background(driver: Driver, operation: Background, _vcpu: int) -> Outcome:
    """Start a program; its vCPU gets turns at the end of this and each later operation."""
    _refuse_busy(driver, operation.part.vcpu)
    driver.vm.advance(_HEAD_START_MS)
    work = Work(in_background=True)
    work.task = _spawn(driver, operation.part, work)
    driver.work[operation.part.vcpu] = work
    return {"rc": 0}


def give_turns(driver: Driver) -> None:
    """Let the vCPUs in the background go on a little."""
    for work in driver.work.values():
        if work.task is not None and not work.task.done:
            driver.sched.play(work.task, TURNS)


@performs(Join)
def perform_join(driver: Driver, operation: Join, _vcpu: int) -> Outcome:
    """Wait until a program in the background has ended."""
    work = driver.work.pop(operation.vcpu, None)
    if work is None or work.task is None:
        raise UsageError(f"v{operation.vcpu} does nothing in the background; expected bg before")
    work.in_background, work.others = False, list(driver.work.values())
    if not work.task.done:
        driver.sched.play_all([work.task])
    return {"rc": 0, "exits": [{"v": operation.vcpu}, *exits_of(work)]}
