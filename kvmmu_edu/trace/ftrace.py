"""The events that this kernel traces, as ftrace prints them.

::

    kvmtrace-100     [000] .....     1.000001: tracing_mark_write: OP 1 mem A anon4k 8M
    TASK-PID         CPU   flags     time      event and its text

What has no line here has none in the kernel either: children built for a split, write
access given back by a fast page fault (which has a line of its own), the accessed and dirty
bits that the CPU sets.  Aging has one.  Function lines (``NAME <-CALLER``) and the probes on
memory slots are those that the recordings were made with.

Times count lines, process ids and pointers are made from numbers of the model: two renderings
of one run are equal.

Kernel: arch/x86/kvm/mmu/mmutrace.h, arch/x86/kvm/trace.h, include/trace/events/kvm.h (v6.12)
Simplified: 512 lines "empty -> frozen" for each table that is taken apart are left out, as the
recordings leave out most of them.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import numpy as np

from kvmmu_edu.choices import Choices
from kvmmu_edu.trace import events as ev
from kvmmu_edu.trace.recorder import Record
from kvmmu_edu.units import PAGES_PER_HPAGE, SPTE_ENT_PER_PAGE

HEADER: Final = """\
# tracer: nop
#
#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION
#              | |         |   |||||     |         |
"""

#: changes of an SPTE that are not traced
UNTRACED: Final = frozenset(
    (
        ev.Cause.SPLIT_CHILD,
        ev.Cause.FAST_FAULT,
        ev.Cause.CPU,
        # the steps of a zap that flushes; FrozenSpteHandled stands for all of it
        ev.Cause.ZAP_FREEZE,
        ev.Cause.THAW,
    )
)

#: task of the ioctls, which also does what the model does outside any task
USER_TASK: Final = "kvmtrace"
_OUTSIDE: Final = ("", "swapper")
_FIRST_PID: Final = 100
_SLOT_POINTER: Final = 0xFFFF888100000000
_SLOT_SIZE: Final = 0x200
#: frame of table 0; kvmmu_edu/x86/arena.py gives tables their frames
_TABLE_PFN: Final = 0x100000
_ACCESS: Final = ("---", "--x", "w--", "w-x", "-u-", "-ux", "wu-", "wux")
_PFERR: Final = ((1, "P"), (2, "W"), (4, "U"), (8, "RSVD"), (16, "F"))

Bodies = Iterable[str]
Renderer = Callable[[Any, Choices], Bodies]


def render(records: Iterable[Record], choices: Choices) -> Iterator[str]:
    """Yield the lines of a trace, without line ends.

    >>> from kvmmu_edu.trace.events import OperationBegin
    >>> list(render([Record(0, "kvmtrace", OperationBegin(1, "stats"), ())], Choices()))
    ['        kvmtrace-100     [000] .....     1.000000: tracing_mark_write: OP 1 stats']

    Ours: the kernel has a ring buffer for this.
    """
    pids: dict[str, int] = {}
    microseconds = 1_000_000
    for record in records:
        function = RENDERERS.get(type(record.event))
        if function is None:
            continue
        for body in function(record.event, choices):
            yield _line(record.task, body, microseconds, pids)
            microseconds += 1


def render_text(records: Iterable[Record], choices: Choices) -> str:
    """Return a whole trace file.

    Ours.
    """
    return HEADER + "".join(f"{line}\n" for line in render(records, choices))


def _line(task: str, body: str, microseconds: int, pids: dict[str, int]) -> str:
    name = USER_TASK if task in _OUTSIDE else task
    pid = pids.setdefault(name, _FIRST_PID + len(pids))
    cpu = pid % 2
    seconds, rest = divmod(microseconds, 1_000_000)
    return f"{name:>16}-{pid:<7} [{cpu:03}] ..... {seconds:5}.{rest:06}: {body}"


# --- marks and memory slots ----------------------------------------------------------------


def _operation_begin(event: ev.OperationBegin, _choices: Choices) -> Bodies:
    yield f"tracing_mark_write: OP {event.n} {event.text}"


def _operation_end(event: ev.OperationEnd, _choices: Choices) -> Bodies:
    yield f"tracing_mark_write: END {event.n}"


def _slot(serial: int) -> str:
    return f"{_SLOT_POINTER + serial * _SLOT_SIZE:#x}" if serial else "0x0"


def _set_memslot(event: ev.SetMemslot, _choices: Choices) -> Bodies:
    slots = f"old={_slot(event.old)} new={_slot(event.new)}"
    yield f"set_memslot: (kvm_set_memslot+0x0) {slots} change={event.change:#x}"


def _replace_memslot(event: ev.ReplaceMemslot, _choices: Choices) -> Bodies:
    slots = f"old={_slot(event.old)} new={_slot(event.new)}"
    yield f"replace_slot: (kvm_replace_memslot+0x0) {slots}"


def _swap_slots(event: ev.SwapActiveMemslots, _choices: Choices) -> Bodies:
    yield f"swap_slots: (kvm_swap_active_memslots+0x0) as_id={event.as_id:#x}"


def _function(name: str, caller: str) -> Renderer:
    def render_call(_event: Any, _choices: Choices) -> Bodies:
        yield f"{name} <-{caller}"

    return render_call


def _synchronize_srcu(event: ev.SynchronizeSrcu, _choices: Choices) -> Bodies:
    yield f"synchronize_srcu_expedited <-kvm_{event.caller.removeprefix('kvm_')}"


def _flush_remote_tlbs(event: ev.FlushRemoteTlbs, _choices: Choices) -> Bodies:
    yield f"kvm_flush_remote_tlbs <-{event.caller}"


def _unmap_hva_range(event: ev.NotifierInvalidateStart, _choices: Choices) -> Bodies:
    span = f"{event.start_hva:#016x} -- {event.end_hva:#016x}"
    yield f"kvm_unmap_hva_range: mmu notifier unmap range: {span}"


def _age_hva(event: ev.NotifierAge, _choices: Choices) -> Bodies:
    span = f"{event.start_hva:#016x} -- {event.end_hva:#016x}"
    yield f"kvm_age_hva: mmu notifier age hva: {span}"


# --- page tables ---------------------------------------------------------------------------


def page_text(gfn: int, role: int, mmu_valid_gen: int = 0, root_count: int = 0) -> str:
    """Return what ftrace says of a page table.

    >>> page_text(0x400, 0x1781)
    'sp gen 0 gfn 400 l1 8-byte q0 direct wux nxe ad root 0 sync'

    :param gfn: first frame that it translates
    :param role: its role word
    :param mmu_valid_gen: its generation, 0 for the TDP MMU
    :param root_count: how many vCPUs use it as their root, 0 for the TDP MMU
    Kernel: KVM_MMU_PAGE_PRINTK, arch/x86/kvm/mmu/mmutrace.h (v6.12)
    """
    words = [
        f"sp gen {mmu_valid_gen} gfn {gfn:x} l{role & 15}",
        f"{4 if role >> 4 & 1 else 8}-byte q{role >> 5 & 3}" + (" direct" if role >> 7 & 1 else ""),
        _ACCESS[role >> 8 & 7] + (" invalid" if role >> 11 & 1 else ""),
        ("" if role >> 12 & 1 else "!") + "nxe",
        ("!" if role >> 16 & 1 else "") + "ad",
        f"root {root_count} sync",
    ]
    return " ".join(words)


def _get_page(event: ev.GetMmuPage, _choices: Choices) -> Bodies:
    found = "new" if event.created else "existing"
    yield f"kvm_mmu_get_page: {page_text(event.gfn, event.role)} {found}"


def _get_shadow_page(event: ev.GetShadowPage, _choices: Choices) -> Bodies:
    found = "new" if event.created else "existing"
    yield f"kvm_mmu_get_page: {page_text(event.gfn, event.role, event.mmu_valid_gen)} {found}"


def _prepare_zap_page(event: ev.PrepareZapPage, _choices: Choices) -> Bodies:
    tables = 1 if isinstance(event.table, int) else len(event.table)
    pages = PAGES_PER_HPAGE[event.level + 1]
    for row in range(tables):
        yield f"kvm_mmu_prepare_zap_page: {page_text(event.gfn + row * pages, event.role)}"


def _prepare_zap_shadow_page(event: ev.PrepareZapShadowPage, _choices: Choices) -> Bodies:
    text = page_text(event.gfn, event.role, event.mmu_valid_gen, event.root_count)
    yield f"kvm_mmu_prepare_zap_page: {text}"


def _zap_all_fast(event: ev.ZapAllFast, _choices: Choices) -> Bodies:
    gen, used = event.mmu_valid_gen, event.used_pages
    yield f"kvm_mmu_zap_all_fast: kvm-mmu-valid-gen {gen} used_pages {used:x}"


def _change(as_id: int, gfn: int, level: int, old: int, new: int) -> str:
    return (
        f"kvm_tdp_mmu_spte_changed: as id {as_id} gfn {gfn:x} level {level} "
        f"old_spte {old:x} new_spte {new:x}"
    )


def _spte_changed(event: ev.SpteChanged, choices: Choices) -> Bodies:
    if event.cause in UNTRACED:
        return
    nonpresent = 0 if choices.is_6_1 else 1 << 63
    nothing = (nonpresent, nonpresent | 0x5A0)
    for gfn, old, new in _entries(event):
        if old != new and (old, new) != nothing:
            yield _change(event.as_id, gfn, event.level, old, new)


def _entries(event: ev.SpteChanged) -> Iterator[tuple[int, int, int]]:
    """Yield gfn, old and new value for each entry of an event, one table after the other."""
    if isinstance(event.index, int) and isinstance(event.table, int):
        yield event.gfn, int(event.old), int(event.new)
        return
    columns = range(SPTE_ENT_PER_PAGE)[event.index] if isinstance(event.index, slice) else (0,)
    tables = 1 if isinstance(event.table, int) else len(event.table)
    shape = (tables, len(columns))
    old = np.broadcast_to(np.asarray(event.old, np.uint64), shape).tolist()
    new = np.broadcast_to(np.asarray(event.new, np.uint64), shape).tolist()
    pages, rows = PAGES_PER_HPAGE[event.level], PAGES_PER_HPAGE[event.level + 1]
    for row in range(tables):
        for at, column in enumerate(columns):
            gfn = event.gfn + row * rows + (column - columns[0]) * pages
            yield gfn, old[row][at], new[row][at]


def _frozen_spte_handled(event: ev.FrozenSpteHandled, _choices: Choices) -> Bodies:
    yield _change(event.as_id, event.gfn, event.level, event.old, event.new)


def _split_huge_page(event: ev.SplitHugePage, _choices: Choices) -> Bodies:
    yield (
        f"kvm_mmu_split_huge_page: gfn {event.gfn:x} spte {event.spte:x} "
        f"level {event.level} errno {event.errno}"
    )


# --- faults --------------------------------------------------------------------------------


def _page_fault(event: ev.PageFaultTaken, _choices: Choices) -> Bodies:
    yield (
        f"kvm_page_fault: vcpu {event.vcpu} rip {event.rip:#x} "
        f"address 0x{event.address:016x} error_code {event.error_code:#x}"
    )


def _requested(event: ev.SpteRequested, _choices: Choices) -> Bodies:
    pfn = event.pfn | (event.gfn & (PAGES_PER_HPAGE[event.level] - 1))
    yield f"kvm_mmu_spte_requested: gfn {event.gfn:x} pfn {pfn:x} level {event.level}"


def _where(table: int, index: int) -> int:
    return ((_TABLE_PFN + table) << 12) + index * 8


def access_letters(spte: int, choices: Choices) -> str:
    """Return read, write, execute and user access of a leaf as ftrace shows them.

    >>> access_letters(0x102903e67, Choices()), access_letters(0x80000000_03738825, Choices())
    ('rwxu', 'r--u')

    Kernel: kvm_mmu_set_spte, arch/x86/kvm/mmu/mmutrace.h (v6.12)
    In v6.1: the EPT present mask is 0 where execute-only pages exist, so that the letter r
    follows bit 0; later it holds bit 63 and the letter always stands.
    """
    npt = choices.paging == "npt"
    readable = npt or not choices.is_6_1 or bool(spte & 1)
    executable = not spte >> 63 if npt else bool(spte >> 2 & 1)
    user = spte >> 2 & 1 if npt else spte & 1
    letters = ((readable, "r"), (spte >> 1 & 1, "w"), (executable, "x"), (user, "u"))
    return "".join(letter if has else "-" for has, letter in letters)


def _set_spte(event: ev.SetSpte, choices: Choices) -> Bodies:
    yield (
        f"kvm_mmu_set_spte: gfn {event.gfn:x} spte {event.spte:x} "
        f"({access_letters(event.spte, choices)}) level {event.level} "
        f"at {_where(event.table, event.index):x}"
    )


def _mark_mmio_spte(event: ev.MarkMmioSpte, _choices: Choices) -> Bodies:
    where = _where(event.table, event.index)
    yield (
        f"mark_mmio_spte: sptep:{where:016x} gfn {event.gfn:x} "
        f"access {event.access:x} gen {event.generation:x}"
    )


def _error_code(code: int) -> str:
    names = [name for bit, name in _PFERR if code & bit]
    rest = code & ~31
    return "|".join([*names, f"{rest:#x}"] if rest else names)


def _fast_page_fault(event: ev.FastPageFault, choices: Choices) -> Bodies:
    # In v6.1: the trace keeps 32 bits of the error code
    code = event.error_code & 0xFFFFFFFF if choices.is_6_1 else event.error_code
    yield (
        f"fast_page_fault: vcpu {event.vcpu} gva {event.address:x} "
        f"error_code {_error_code(code)} sptep {_where(event.table, event.index):016x} "
        f"old {event.old:#x} new {event.new:x} "
        f"spurious {event.spurious:d} fixed {event.fixed:d}"
    )


#: how each kind of event is printed; kinds that are not here have no line
RENDERERS: Final[dict[type[Any], Renderer]] = {
    ev.OperationBegin: _operation_begin,
    ev.OperationEnd: _operation_end,
    ev.SetMemslot: _set_memslot,
    ev.ReplaceMemslot: _replace_memslot,
    ev.SwapActiveMemslots: _swap_slots,
    ev.ArchPrepareMemoryRegion: _function("kvm_arch_prepare_memory_region", "kvm_set_memslot"),
    ev.ArchFlushShadowMemslot: _function("kvm_arch_flush_shadow_memslot", "kvm_set_memslot"),
    ev.ArchCommitMemoryRegion: _function("kvm_arch_commit_memory_region", "kvm_set_memslot"),
    ev.RmapsAllocated: _function("memslot_rmap_alloc", "kvm_arch_prepare_memory_region"),
    ev.SynchronizeSrcu: _synchronize_srcu,
    ev.FlushRemoteTlbs: _flush_remote_tlbs,
    ev.NotifierInvalidateStart: _unmap_hva_range,
    ev.NotifierAge: _age_hva,
    ev.GetMmuPage: _get_page,
    ev.GetShadowPage: _get_shadow_page,
    ev.PrepareZapPage: _prepare_zap_page,
    ev.PrepareZapShadowPage: _prepare_zap_shadow_page,
    ev.ZapAllFast: _zap_all_fast,
    ev.SpteChanged: _spte_changed,
    ev.FrozenSpteHandled: _frozen_spte_handled,
    ev.SplitHugePage: _split_huge_page,
    ev.PageFaultTaken: _page_fault,
    ev.SpteRequested: _requested,
    ev.SetSpte: _set_spte,
    ev.MarkMmioSpte: _mark_mmio_spte,
    ev.FastPageFault: _fast_page_fault,
}
