"""Lines of ftrace, reduced to what two runs must have in common.

Host frame numbers, pointers, callers, times and process ids differ from run to run; addresses,
levels, flag bits and order do not.  Events that are not in :data:`EVENTS` do not count.

Ours.
"""

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from kvmmu_edu.errors import UsageError

_LINE: Final = re.compile(r"\s*(.+)-(\d+)\s+\[(\d+)\]\s+\S+\s+([\d.]+): (.*)")
_MARK: Final = re.compile(r"tracing_mark_write: (OP|END|SETUP|SCENARIO|TEARDOWN) ?(\d{1,9})?")
_PFN: Final = 0x000F_FFFF_FFFF_F000
_MMU_PRESENT: Final = 1 << 11
#: an empty entry, and one whose table is being removed, in Linux 6.12 and 6.1
_EMPTY: Final = (1 << 63, 0)
_FROZEN: Final = (1 << 63 | 0x5A0, 0x5A0)
_WORKER: Final = "kvm-nx"


class Line(NamedTuple):
    """A line of a trace: the task and what follows the time."""

    task: str
    body: str


class Mark(NamedTuple):
    """A mark of the driver: ``OP`` or ``END`` with a number, or another word."""

    word: str
    number: int | None


def split_line(text: str) -> Line | None:
    """Return task and body of a line, or None when it is no line of a trace.

    The recovery worker's threads are one task whatever their names.

    >>> split_line("  vcpu0-200 [000] ...1. 12.29: kvm_entry: vcpu 0, rip 0xd0000000")
    Line(task='vcpu0', body='kvm_entry: vcpu 0, rip 0xd0000000')
    """
    match = _LINE.fullmatch(text)
    if match is None:
        return None
    task = match[1].strip()
    return Line("worker" if task.startswith(_WORKER) else task, match[5])


def mark_of(body: str) -> Mark | None:
    """Return the mark that a body is, or None."""
    match = _MARK.match(body)
    if match is None:
        return None
    return Mark(match[1], int(match[2]) if match[2] else None)


def masked_spte(text: str) -> str:
    """Return an SPTE without the host frame number, if it maps anything.

    >>> masked_spte("102903e67"), masked_spte("80000000000005a0")
    ('e67+pfn', '80000000000005a0')
    """
    value = int(text, 16)
    return f"{value & ~_PFN:x}+pfn" if value & _MMU_PRESENT else f"{value:x}"


def comparable(body: str, *, lite: bool = False) -> str | None:
    """Return what of a body counts, or None when nothing does.

    >>> comparable("kvm_mmu_spte_requested: gfn d0001 pfn 102903 level 1")
    'spte_requested gfn d0001 level 1'

    :param lite: leave out changes of 4K entries, as a recording of that kind does
    :raises UsageError: when an event that counts is cut short
    """
    event = EVENTS.get(body.split(" ", 1)[0])
    if event is None:
        return None
    if lite and event is _CHANGED and " level 1 " in body:
        return None
    match = event.pattern.search(body)
    if match is None:
        if event.optional:
            return None
        raise UsageError(f"the event {body[:60]!r} is cut short; expected {event.expected}")
    return event.render(match)


class Event(NamedTuple):
    """How an event is read: a pattern, and what is made of what it found."""

    pattern: re.Pattern[str]
    render: Callable[[re.Match[str]], str | None]
    expected: str
    #: lines that do not match are no error and do not count
    optional: bool = False


def _changed(m: re.Match[str]) -> str | None:
    old, new = int(m[4], 16), int(m[5], 16)
    if old in _EMPTY and new in _FROZEN:
        return None  # 512 for each table that is removed; recordings leave most of them out
    return (
        f"spte_changed as {m[1]} gfn {m[2]} level {m[3]} {masked_spte(m[4])} -> {masked_spte(m[5])}"
    )


def _page_fault(m: re.Match[str]) -> str:
    return f"page_fault vcpu {m[1]} address {int(m[2], 16):x} error_code {int(m[3], 16):x}"


def _fast_page_fault(m: re.Match[str]) -> str:
    change = f"{masked_spte(m[3])} -> {masked_spte(m[4])}"
    return f"fast_page_fault vcpu {m[1]} gva {m[2]} {change} spurious {m[5]} fixed {m[6]}"


def _requested(m: re.Match[str]) -> str:
    return f"spte_requested gfn {m[1]} level {m[2]}"


def _set_spte(m: re.Match[str]) -> str:
    return f"set_spte gfn {m[1]} {masked_spte(m[2])} ({m[3]}) level {m[4]}"


def _mark_mmio(m: re.Match[str]) -> str:
    return f"mark_mmio gfn {m[1]} access {m[2]}"


def _split(m: re.Match[str]) -> str:
    return f"split gfn {m[1]} {masked_spte(m[2])} level {m[3]} errno {m[4]}"


def _page(m: re.Match[str]) -> str:
    return f"{m[1]} {m[2]}"


def _pointer(text: str) -> str:
    return "slot" if int(text, 16) else "0"


def _slots(m: re.Match[str]) -> str:
    change = f" change {m[4]}" if m[4] else ""
    return f"{m[1]} {_pointer(m[2])} -> {_pointer(m[3])}{change}"


def _swap(m: re.Match[str]) -> str:
    return f"swap_slots as {int(m[1], 16)}"


def _call(text: str, caller: str = "") -> Event:
    return Event(re.compile(re.escape(caller)), lambda _m: text, "", optional=True)


def _event(pattern: str, render: Callable[[re.Match[str]], str | None]) -> Event:
    return Event(re.compile(pattern), render, f"text such as {pattern!r}")


_CHANGED: Final = _event(
    r"as id (\d+) gfn ([0-9a-f]+) level (\d+) old_spte ([0-9a-f]+) new_spte ([0-9a-f]+)", _changed
)
_PAGE: Final = _event(r"^kvm_mmu_(\w+): (.*)", _page)
_SLOTS: Final = _event(
    r"^(\w+):.* old=((?:0x)?[0-9a-f]+) new=((?:0x)?[0-9a-f]+)(?: change=0x(\w+))?", _slots
)

#: first word of a line -> how it is read; every other event does not count
EVENTS: Final[dict[str, Event]] = {
    "kvm_page_fault:": _event(
        r"vcpu (\d+) .*address 0x([0-9a-f]+) error_code 0x([0-9a-f]+)", _page_fault
    ),
    "fast_page_fault:": _event(
        r"vcpu (\d+) gva ([0-9a-f]+) .* old 0x([0-9a-f]+) new ([0-9a-f]+) "
        r"spurious (\d) fixed (\d)",
        _fast_page_fault,
    ),
    "kvm_tdp_mmu_spte_changed:": _CHANGED,
    "kvm_mmu_spte_requested:": _event(r"gfn ([0-9a-f]+) pfn [0-9a-f]+ level (\d+)", _requested),
    "kvm_mmu_set_spte:": _event(
        r"gfn ([0-9a-f]+) spte ([0-9a-f]+) \(([^)]*)\) level (\d+)", _set_spte
    ),
    "mark_mmio_spte:": _event(r"gfn ([0-9a-f]+) access (\w+) gen (\w+)", _mark_mmio),
    "kvm_mmu_split_huge_page:": _event(
        r"gfn ([0-9a-f]+) spte ([0-9a-f]+) level (\d+) errno (-?\d+)", _split
    ),
    "kvm_mmu_get_page:": _PAGE,
    "kvm_mmu_prepare_zap_page:": _PAGE,
    "kvm_mmu_unsync_page:": _PAGE,
    "kvm_mmu_sync_page:": _PAGE,
    "set_memslot:": _SLOTS,
    "replace_slot:": _SLOTS,
    "swap_slots:": _event(r"as_id=((?:0x)?[0-9a-f]+)", _swap),
    "kvm_arch_prepare_memory_region": _call("arch_prepare_memory_region"),
    "kvm_arch_flush_shadow_memslot": _call("arch_flush_shadow_memslot"),
    "kvm_arch_commit_memory_region": _call("arch_commit_memory_region"),
    "synchronize_srcu_expedited": _call("synchronize_srcu", "kvm_swap_active_memslots"),
    "kvm_flush_remote_tlbs": _call("flush_remote_tlbs"),
    "memslot_rmap_alloc": _call("memslot_rmap_alloc"),
}
