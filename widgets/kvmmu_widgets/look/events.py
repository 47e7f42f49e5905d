"""What happened: the faults of a run, and how far counters moved.  Ours."""

from collections.abc import Iterable
from typing import Any, Final

from kvmmu_edu.trace import events as ev
from kvmmu_edu.trace.recorder import Record
from kvmmu_edu.units import LEVEL_NAMES
from kvmmu_edu.vm import Vm
from kvmmu_edu.x86.page_fault import (
    PFERR_FETCH_MASK,
    PFERR_PRESENT_MASK,
    PFERR_RSVD_MASK,
    PFERR_WRITE_MASK,
    RET_PF_NAMES,
    RetPf,
)
from kvmmu_widgets.counted import flat_change, meaning
from kvmmu_widgets.excerpt import records_of, split_at
from kvmmu_widgets.grid import Grid

#: the statistic that a fault with this result adds to, besides pf_taken
_COUNTS: Final = {
    RetPf.EMULATE: "pf_emulate",
    RetPf.WRITE_PROTECTED: "pf_emulate",
    RetPf.FIXED: "pf_fixed",
    RetPf.SPURIOUS: "pf_spurious",
}


def moved(vm: Vm, since: int = -1, *, locks: bool = False) -> Grid:
    """Return by how much each counter moved in the last operation, or since an earlier one.

    :param since: number of the first operation that counts; -1 is the last
    :param locks: whether acquisitions of locks are listed too
    :raises UsageError: the VM kept no events, or there is no such operation
    """
    before, shown = split_at(records_of(vm), since)
    changes = flat_change(before, shown)
    rows = [
        (name.removeprefix("vm.").removeprefix("count."), f"{change:+,}", meaning(name))
        for name, change in changes.items()
        if locks or not name.startswith("lock.")
    ]
    begins = [record.event for record in shown if isinstance(record.event, ev.OperationBegin)]
    what = begins[0].text if len(begins) == 1 else f"{len(begins)} operations"
    caption = f"What moved: {what}" + ("" if rows else ": nothing")
    return Grid(("counter", "by", "counts"), rows, caption)


def faults(vm: Vm, since: int | None = None) -> Grid:
    """Return every fault of a run: what the CPU reported and what became of it.

    :param since: number of the first operation; all by default
    :raises UsageError: the VM kept no events, or there is no such operation
    """
    records = records_of(vm)
    shown = records if since is None else split_at(records, since)[1]
    rows = [(n, *_fault_row(*found)) for n, found in enumerate(_faults(shown), 1)]
    columns = ("fault", "vCPU", "gpa", "access", "the entry", "error code", "wants", "result")
    return Grid((*columns, "counted as"), rows, "Faults" if rows else "No fault")


Found = tuple[ev.PageFaultTaken, int, int | None]


def _faults(records: Iterable[Record]) -> list[Found]:
    """Return each fault with the level that it wanted (0: none) and its result (None: none)."""
    open_faults: dict[int, list[Any]] = {}
    found: list[list[Any]] = []
    vcpus = {f"vcpu{n}": n for n in range(64)}
    for record in records:
        event = record.event
        if isinstance(event, ev.PageFaultTaken):
            open_faults[event.vcpu] = [event, 0, None]
            found.append(open_faults[event.vcpu])
        elif isinstance(event, ev.SpteRequested) and record.task in vcpus:
            fault = open_faults.get(vcpus[record.task])
            if fault is not None:
                fault[1] = event.level
        elif isinstance(event, ev.PageFaultDone):
            fault = open_faults.pop(event.vcpu, None)
            if fault is not None:
                fault[2] = event.result
    return [(taken, level, result) for taken, level, result in found]


def _fault_row(taken: ev.PageFaultTaken, level: int, result: int | None) -> tuple[Any, ...]:
    code = taken.error_code
    access = "read"
    if code & PFERR_WRITE_MASK:
        access = "write"
    elif code & PFERR_FETCH_MASK:
        access = "fetch"
    entry = "missing"
    if code & PFERR_RSVD_MASK:
        entry = "MMIO"
    elif code & PFERR_PRESENT_MASK:
        entry = "does not allow it"
    wants = LEVEL_NAMES[level] or "-"
    return taken.vcpu, f"{taken.address:#x}", access, entry, f"{code:#x}", wants, *_became(result)


def _became(result: int | None) -> tuple[str, str]:
    """Return the result by name, and the statistics that count it."""
    if result is None:
        return "emulated at once: the MMIO entry is valid", "-"
    if result < 0:
        return f"errno {-result}", "pf_taken"
    counted = _COUNTS.get(result)
    return ret_pf_text(result), "pf_taken" if counted is None else f"pf_taken, {counted}"


def ret_pf_text(result: int) -> str:
    """Return the kernel's name of what became of a fault.

    >>> ret_pf_text(3)
    'RET_PF_WRITE_PROTECTED'
    """
    return f"RET_PF_{RET_PF_NAMES[result].upper().replace('-', '_')}"
