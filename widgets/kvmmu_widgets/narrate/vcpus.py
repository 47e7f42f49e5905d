"""Sentences about guest accesses, faults, requests and flushes.  Ours."""

from collections.abc import Callable
from typing import Any, Final

from kvmmu_edu.trace import events as ev
from kvmmu_edu.units import LEVEL_NAMES
from kvmmu_edu.x86.page_fault import (
    PFERR_FETCH_MASK,
    PFERR_PRESENT_MASK,
    PFERR_RSVD_MASK,
    PFERR_WRITE_MASK,
    RetPf,
)
from kvmmu_widgets.narrate.context import Context, Line, pages_text, plural
from kvmmu_widgets.views.spte_runs import describe_spte

_ACCESSES: Final = {"exec": "instruction fetch"}

#: what is said of a result, and in a few words
_RESULTS: Final = {
    RetPf.CONTINUE: ("goes on", "fault goes on"),
    RetPf.RETRY: ("has to be tried again: something changed meanwhile", "fault: try again"),
    RetPf.EMULATE: ("is handed to the emulator", "fault: emulate"),
    RetPf.WRITE_PROTECTED: (
        "is handed to the emulator: the page is write-protected",
        "fault: write-protected",
    ),
    RetPf.INVALID: ("met an MMIO entry of an old slot generation", "fault: old MMIO entry"),
    RetPf.FIXED: ("is fixed: the guest may go on", "fault fixed"),
    RetPf.SPURIOUS: ("was spurious: another vCPU had fixed it already", "fault spurious"),
}


def _guest_access(event: ev.GuestAccess, _context: Context) -> Line:
    what = _ACCESSES.get(event.kind, event.kind)
    return Line(
        f"The {what} of vCPU {event.vcpu} at gpa {event.gpa:#x} goes through.",
        f"{event.kind} {event.gpa:#x} done",
    )


def _page_fault_taken(event: ev.PageFaultTaken, _context: Context) -> Line:
    code = event.error_code
    access = "a read"
    if code & PFERR_WRITE_MASK:
        access = "a write"
    elif code & PFERR_FETCH_MASK:
        access = "an instruction fetch"
    why = "no entry maps the page"
    if code & PFERR_RSVD_MASK:
        why = "the entry has reserved bits set: MMIO"
    elif code & PFERR_PRESENT_MASK:
        why = "the entry does not allow it"
    return Line(
        f"vCPU {event.vcpu} leaves the guest for {access} at gpa {event.address:#x}: {why} "
        f"(error code {code:#x}).",
        f"fault {event.address:#x}",
    )


def _page_fault_done(event: ev.PageFaultDone, _context: Context) -> Line:
    errno = -event.result
    result, short = _RESULTS.get(event.result, (f"ends with errno {errno}", f"fault: {errno}"))
    return Line(f"The fault of vCPU {event.vcpu} at gfn {event.gfn:#x} {result}.", short)


def _fast_page_fault(event: ev.FastPageFault, context: Context) -> Line:
    where = f"at gpa {event.address:#x}"
    if event.spurious:
        return Line(
            f"The fault of vCPU {event.vcpu} {where} was over before it began: the entry allows "
            "the access by now.",
            "fast: spurious",
        )
    if not event.fixed:
        return Line(
            f"The fault of vCPU {event.vcpu} {where} cannot be fixed without the lock.",
            "fast: no",
        )
    made = context.tables.get(event.table)
    now = describe_spte(event.new, made.level if made else 1, context.fmt)
    return Line(
        f"The fault of vCPU {event.vcpu} {where} is fixed without any lock: one compare and "
        f"exchange made the entry {now.flags}.",
        "fast: fixed",
    )


def _spte_requested(event: ev.SpteRequested, _context: Context) -> Line:
    if event.pfn < 0 or event.pfn >> 52:
        return Line(
            f"The fault handler found no memory behind gfn {event.gfn:#x}.",
            f"no memory at {event.gfn:#x}",
        )
    size = LEVEL_NAMES[event.level]
    return Line(
        f"The fault handler wants to map gfn {event.gfn:#x} to pfn {event.pfn:#x} with a {size} "
        "page.",
        f"wants {size} at {event.gfn:#x}",
    )


def _set_spte(event: ev.SetSpte, context: Context) -> Line:
    view = describe_spte(event.spte, event.level, context.fmt)
    return Line(
        f"The fault handler installed {view} for gfn {event.gfn:#x} in entry {event.index} of "
        f"table {event.table}.",
        f"{event.gfn:#x}: {view.what} set",
    )


def _mark_mmio_spte(event: ev.MarkMmioSpte, _context: Context) -> Line:
    return Line(
        f"There is no memory at gfn {event.gfn:#x}: entry {event.index} of table {event.table} "
        f"will say so, for slot generation {event.generation}.",
        f"{event.gfn:#x}: MMIO",
    )


def _mmio_exit(event: ev.MmioExit, _context: Context) -> Line:
    what = "write" if event.is_write else "read"
    return Line(
        f"vCPU {event.vcpu} exits to user space: a {what} of {plural(event.length, 'byte')} at "
        f"gpa {event.gpa:#x} is MMIO.",
        f"MMIO {what} {event.gpa:#x}",
    )


def _flush_remote_tlbs(event: ev.FlushRemoteTlbs, _context: Context) -> Line:
    what = "all that they cache"
    if event.npages:
        last = event.gfn + event.npages - 1
        what = f"gfn {event.gfn:#x} to {last:#x} ({pages_text(event.npages)})"
    running = plural(event.kicked, "running vCPU") if event.kicked else "no vCPU"
    return Line(
        f"{event.caller}() asks all vCPUs to flush {what}; {running} had to be interrupted.",
        "flush TLBs",
    )


def _vcpu_request(event: ev.VcpuRequest, _context: Context) -> Line:
    return Line(
        f"vCPU {event.vcpu} is asked for {event.request} before it enters the guest again.",
        f"vCPU {event.vcpu}: {event.request}",
    )


def _vcpu_tlb_flush(event: ev.VcpuTlbFlush, _context: Context) -> Line:
    return Line(
        f"vCPU {event.vcpu} empties its TLB because of {event.why}.",
        f"vCPU {event.vcpu}: TLB empty",
    )


def _guest_entered(event: ev.GuestEntered, _context: Context) -> Line:
    return Line(f"vCPU {event.vcpu} enters the guest.", f"vCPU {event.vcpu}: in guest")


def _guest_left(event: ev.GuestLeft, _context: Context) -> Line:
    return Line(f"vCPU {event.vcpu} leaves the guest.", f"vCPU {event.vcpu}: in host")


TELLERS: Final[dict[type[Any], Callable[[Any, Context], Line]]] = {
    ev.GuestAccess: _guest_access,
    ev.PageFaultTaken: _page_fault_taken,
    ev.PageFaultDone: _page_fault_done,
    ev.FastPageFault: _fast_page_fault,
    ev.SpteRequested: _spte_requested,
    ev.SetSpte: _set_spte,
    ev.MarkMmioSpte: _mark_mmio_spte,
    ev.MmioExit: _mmio_exit,
    ev.FlushRemoteTlbs: _flush_remote_tlbs,
    ev.VcpuRequest: _vcpu_request,
    ev.VcpuTlbFlush: _vcpu_tlb_flush,
    ev.GuestEntered: _guest_entered,
    ev.GuestLeft: _guest_left,
}
