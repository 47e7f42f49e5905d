"""What ftrace would print of events, checked against lines of the recordings."""

import re

import numpy as np
import pytest

from kvmmu_edu.choices import Choices
from kvmmu_edu.trace import events as ev
from kvmmu_edu.trace.events import Cause
from kvmmu_edu.trace.ftrace import HEADER, access_letters, page_text, render, render_text
from kvmmu_edu.trace.recorder import Record

EMPTY, FROZEN = 1 << 63, 1 << 63 | 0x5A0
LINE = re.compile(r"^\s*(.+)-(\d+)\s+\[(\d+)\]\s+\S+\s+([\d.]+): (.*)$")


def bodies(*events, kernel="6.12", paging="npt", task="vcpu0"):
    records = [Record(i, task, event, ()) for i, event in enumerate(events)]
    return [LINE.match(line)[5] for line in render(records, Choices(kernel=kernel, paging=paging))]


def changed(table, index, old, new, *, level=1, gfn=0x400, cause=Cause.MAP):
    return ev.SpteChanged(0, level, gfn, table, index, old, new, cause, 0)


RECORDED = [
    (
        ev.PageFaultTaken(0, 0xD0000000, 0xD0001000, 0x200000006),
        "kvm_page_fault: vcpu 0 rip 0xd0000000 address 0x00000000d0001000 error_code 0x200000006",
    ),
    (
        ev.SpteRequested(0xD0001, 0x102903, 1),
        "kvm_mmu_spte_requested: gfn d0001 pfn 102903 level 1",
    ),
    (
        ev.GetMmuPage(3, 0, 0xC0000, 2, 0x1782, True),
        "kvm_mmu_get_page: sp gen 0 gfn c0000 l2 8-byte q0 direct wux nxe ad root 0 sync new",
    ),
    (
        ev.PrepareZapPage(3, 0, 0x400, 1, 0x1781),
        "kvm_mmu_prepare_zap_page: sp gen 0 gfn 400 l1 8-byte q0 direct wux nxe ad root 0 sync",
    ),
    (
        changed(1, 0, EMPTY, 0x101DA3827, level=3, gfn=0xC0000, cause=Cause.LINK),
        (
            "kvm_tdp_mmu_spte_changed: as id 0 gfn c0000 level 3 "
            "old_spte 8000000000000000 new_spte 101da3827"
        ),
    ),
    (
        ev.SetSpte(0x5FF, 0x3738825, 1, 0xCD65 & 0xFF, 511),
        "kvm_mmu_set_spte: gfn 5ff spte 3738825 (r-xu) level 1 at 100065ff8",
    ),
    (
        ev.SplitHugePage(0x400, 0x108C00EE5, 2, 0),
        "kvm_mmu_split_huge_page: gfn 400 spte 108c00ee5 level 2 errno 0",
    ),
    (
        ev.MarkMmioSpte(0, 2, 0, 0x400, 7, 8),
        "mark_mmio_spte: sptep:0000000100002000 gfn 400 access 7 gen 8",
    ),
    (
        ev.ZapAllFast(0, 0),
        "kvm_mmu_zap_all_fast: kvm-mmu-valid-gen 0 used_pages 0",
    ),
    (
        ev.FastPageFault(0, 0x100000, 0x100000007, 2, 0, 0x3738825, 0x3738825, False, False),
        (
            "fast_page_fault: vcpu 0 gva 100000 error_code P|W|U|0x100000000 "
            "sptep 0000000100002000 old 0x3738825 new 3738825 spurious 0 fixed 0"
        ),
    ),
    (
        ev.SynchronizeSrcu("swap_active_memslots"),
        "synchronize_srcu_expedited <-kvm_swap_active_memslots",
    ),
    (
        ev.FlushRemoteTlbs("kvm_mmu_notifier_invalidate_range_start", 0, 0, 0),
        "kvm_flush_remote_tlbs <-kvm_mmu_notifier_invalidate_range_start",
    ),
    (ev.SwapActiveMemslots(1, 0, 9), "swap_slots: (kvm_swap_active_memslots+0x0) as_id=0x1"),
    (
        ev.NotifierInvalidateStart(0x7FC8A7C8B000, 0x7FC8A848B000),
        "kvm_unmap_hva_range: mmu notifier unmap range: 0x007fc8a7c8b000 -- 0x007fc8a848b000",
    ),
]


@pytest.mark.parametrize(("event", "text"), RECORDED, ids=lambda x: type(x).__name__)
def test_an_event_reads_as_recorded(event, text):
    assert bodies(event) == [text]


def test_the_first_operation_reads_as_the_kernel_marks_it():
    lines = list(render([Record(0, "swapper", ev.OperationBegin(1, "stats"), ())], Choices()))
    assert lines == [
        "        kvmtrace-100     [000] .....     1.000000: tracing_mark_write: OP 1 stats"
    ]


def test_a_slot_that_is_none_is_a_null_pointer():
    create = ev.SetMemslot(0, 0, 5, 0)
    assert bodies(create) == [
        "set_memslot: (kvm_set_memslot+0x0) old=0x0 new=0xffff888100000a00 change=0x0"
    ]
    assert bodies(ev.ReplaceMemslot(0, 1, 5, 0)) == [
        "replace_slot: (kvm_replace_memslot+0x0) old=0xffff888100000a00 new=0x0"
    ]


@pytest.mark.parametrize(
    "cause", [Cause.SPLIT_CHILD, Cause.FAST_FAULT, Cause.CPU, Cause.ZAP_FREEZE, Cause.THAW]
)
def test_what_the_kernel_does_not_trace_has_no_line(cause):
    assert bodies(changed(1, 0, EMPTY, 0x1000E67, cause=cause)) == []


def test_aging_is_traced():
    assert len(bodies(changed(1, 0, 0x1000E67, 0x1000E47, cause=Cause.AGE))) == 1


def test_a_zap_that_flushes_is_traced_once_with_what_was_there_before():
    done = ev.FrozenSpteHandled(0, 2, 0x400, 1, 2, 0x101DA3827, EMPTY, 0)
    freeze = changed(1, 2, 0x101DA3827, FROZEN, level=2, cause=Cause.ZAP_FREEZE)
    thaw = changed(1, 2, FROZEN, EMPTY, level=2, cause=Cause.THAW)
    assert bodies(freeze, thaw, done) == [
        (
            "kvm_tdp_mmu_spte_changed: as id 0 gfn 400 level 2 "
            "old_spte 101da3827 new_spte 8000000000000000"
        )
    ]


def test_a_span_is_traced_entry_by_entry_without_what_stayed():
    old = np.array([EMPTY, 0x1000E67, 0x2000E67, 0x3000E65], np.uint64)
    new = np.array([EMPTY, 0x1000E65, 0x2000E65, 0x3000E65], np.uint64)
    lines = bodies(changed(1, slice(8, 12), old, new, gfn=0x408, cause=Cause.WRITE_PROTECT))
    assert [re.search(r"gfn (\w+) .*new_spte (\w+)", line).groups() for line in lines] == [
        ("409", "1000e65"),
        ("40a", "2000e65"),
    ]


def test_a_span_over_tables_goes_table_by_table():
    old = np.full((2, 2), 0x1000E67, np.uint64)
    lines = bodies(changed(np.array([4, 5]), slice(0, 2), old, EMPTY, cause=Cause.ZAP))
    assert [re.search(r"gfn (\w+)", line)[1] for line in lines] == ["400", "401", "600", "601"]


def test_a_whole_table_frozen_leaves_out_its_empty_entries():
    old = np.full(512, EMPTY, np.uint64)
    old[7] = 0x1000E67
    new = np.full(512, FROZEN, np.uint64)
    lines = bodies(changed(1, slice(0, 512), old, new, cause=Cause.FREEZE))
    assert lines == [
        (
            "kvm_tdp_mmu_spte_changed: as id 0 gfn 407 level 1 old_spte 1000e67 new_spte "
            "80000000000005a0"
        )
    ]


def test_empty_and_frozen_are_other_values_in_6_1():
    old = np.array([0, 0x1000E67], np.uint64)
    event = changed(1, slice(0, 2), old, np.uint64(0x5A0), cause=Cause.FREEZE)
    assert len(bodies(event, kernel="6.1")) == 1
    assert len(bodies(event, kernel="6.12")) == 2


def test_tables_of_a_span_are_zapped_in_order():
    lines = bodies(ev.PrepareZapPage(np.array([3, 4]), 0, 0x200, 1, 0x1781))
    assert [re.search(r"gfn (\w+)", line)[1] for line in lines] == ["200", "400"]


def test_6_1_traces_32_bits_of_the_error_code_of_a_fast_fault():
    fast = ev.FastPageFault(0, 0x100000, 0x100000007, 2, 0, 1, 1, True, False)
    assert "error_code P|W|U sptep" in bodies(fast, kernel="6.1")[0]


@pytest.mark.parametrize(
    ("role", "text"),
    [
        (0x1784, "l4 8-byte q0 direct wux nxe ad"),
        (0x1F84, "l4 8-byte q0 direct wux invalid nxe ad"),
        (0x0781, "l1 8-byte q0 direct wux !nxe ad"),
        (0x11784, "l4 8-byte q0 direct wux nxe !ad"),
        (0x1781 | 3 << 5 | 1 << 4, "l1 4-byte q3 direct wux nxe ad"),
        (0x1101, "l1 8-byte q0 --x nxe ad"),
        (0x1601, "l1 8-byte q0 wu- nxe ad"),
    ],
)
def test_each_field_of_a_role_has_its_word(role, text):
    assert page_text(0, role) == f"sp gen 0 gfn 0 {text} root 0 sync"


@pytest.mark.parametrize(
    ("spte", "paging", "kernel", "letters"),
    [
        (0x102903E67, "npt", "6.12", "rwxu"),
        (1 << 63 | 0x102903E67, "npt", "6.12", "rw-u"),
        (0x827, "ept", "6.1", "rwxu"),
        (0x824, "ept", "6.12", "r-x-"),
        (0x824, "ept", "6.1", "--x-"),
    ],
)
def test_access_letters(spte, paging, kernel, letters):
    assert access_letters(spte, Choices(kernel=kernel, paging=paging)) == letters


def test_a_huge_request_shows_the_small_frame():
    assert bodies(ev.SpteRequested(0x4FF, 0x200000, 2)) == [
        "kvm_mmu_spte_requested: gfn 4ff pfn 2000ff level 2"
    ]


def test_every_line_has_its_own_time_and_each_task_its_own_pid():
    events = [ev.SpteRequested(1, 1, 1)] * 3
    records = [
        Record(i, task, event, ())
        for i, (task, event) in enumerate(zip(("vcpu0", "kvmtrace", "vcpu0"), events, strict=True))
    ]
    text = render_text(records, Choices())
    assert text.startswith(HEADER)
    found = [LINE.match(line) for line in text[len(HEADER) :].splitlines()]
    assert [m[1].strip() for m in found] == ["vcpu0", "kvmtrace", "vcpu0"]
    assert found[0][2] == found[2][2] != found[1][2]
    assert len({m[4] for m in found}) == 3
    assert text == render_text(records, Choices())


def test_events_that_are_ours_have_no_line():
    assert bodies(ev.LockAcquired("mmu_lock", "read"), ev.GuestEntered(0)) == []
