"""A part of a run: what came before it, and the operations that are shown.  Ours."""

from collections.abc import Sequence

from kvmmu_edu.errors import UsageError
from kvmmu_edu.trace.events import OperationBegin
from kvmmu_edu.trace.recorder import Record
from kvmmu_edu.vm import Vm


def records_of(vm: Vm) -> list[Record]:
    """Return what a VM recorded.

    :raises UsageError: it kept no events
    """
    if not vm.trace.keeps_events:
        raise UsageError('this VM kept no events; make it with Vm(trace="steps")')
    return vm.trace.records


def split_at(records: Sequence[Record], since: int) -> tuple[list[Record], list[Record]]:
    """Return the records before an operation, and those from there on.

    :param since: the number of the operation, from 1 on; or from the end: -1 is the last
    :raises UsageError: there is no such operation
    """
    begins = {
        record.event.n: at
        for at, record in enumerate(records)
        if isinstance(record.event, OperationBegin)
    }
    numbers = list(begins)
    if since < 0 and -since <= len(numbers):
        since = numbers[since]
    if since not in begins:
        held = f"1 to {numbers[-1]}, or -1 for the last" if numbers else "a run with operations"
        raise UsageError(f"there is no operation {since}; expected {held}")
    at = begins[since]
    return list(records[:at]), list(records[at:])
