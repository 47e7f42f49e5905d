import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvmmu_edu.compare.event_text import (
    EVENTS,
    Line,
    Mark,
    comparable,
    mark_of,
    masked_spte,
    split_line,
)
from tests.scenario.complaints import complaint

#: lines as recorded, and what of them counts
RECORDED = {
    "kvm_page_fault: vcpu 0 rip 0xd0000000 address 0x00000000d0001000 error_code 0x200000006": (
        "page_fault vcpu 0 address d0001000 error_code 200000006"
    ),
    "kvm_tdp_mmu_spte_changed: as id 0 gfn 400 level 2 old_spte 8000000000000000 "
    "new_spte 101d65827": ("spte_changed as 0 gfn 400 level 2 8000000000000000 -> 827+pfn"),
    "kvm_mmu_spte_requested: gfn 400 pfn 102956 level 1": "spte_requested gfn 400 level 1",
    "kvm_mmu_set_spte: gfn 5ff spte 3738825 (r-xu) level 1 at 101d65ff8": (
        "set_spte gfn 5ff 825+pfn (r-xu) level 1"
    ),
    "mark_mmio_spte: sptep:0000000040fa5e8c gfn 400 access 7 gen 8": "mark_mmio gfn 400 access 7",
    "kvm_mmu_split_huge_page: gfn 400 spte 108c00ee5 level 2 errno 0": (
        "split gfn 400 ee5+pfn level 2 errno 0"
    ),
    "kvm_mmu_get_page: sp gen 0 gfn 0 l4 8-byte q0 direct wux nxe ad root 0 sync new": (
        "get_page sp gen 0 gfn 0 l4 8-byte q0 direct wux nxe ad root 0 sync new"
    ),
    "kvm_mmu_unsync_page: sp gen 0 gfn d0004 l1 8-byte q0 wux nxe ad root 0 sync": (
        "unsync_page sp gen 0 gfn d0004 l1 8-byte q0 wux nxe ad root 0 sync"
    ),
    "fast_page_fault: vcpu 0 gva 100000 error_code P|W|U|0x100000000 sptep 00000000f72a8c30 "
    "old 0x3738825 new 3738825 spurious 0 fixed 0": (
        "fast_page_fault vcpu 0 gva 100000 825+pfn -> 825+pfn spurious 0 fixed 0"
    ),
    "set_memslot: (kvm_set_memslot+0x0/0x640 [kvm]) old=0x0 new=0xffff8881091df400 change=0x0": (
        "set_memslot 0 -> slot change 0"
    ),
    "replace_slot: (kvm_replace_memslot+0x0/0x380 [kvm]) old=0xffff8881091df400 new=0x0": (
        "replace_slot slot -> 0"
    ),
    "swap_slots: (kvm_swap_active_memslots+0x0/0x180 [kvm]) as_id=0x1": "swap_slots as 1",
    "kvm_arch_commit_memory_region <-kvm_set_memslot": "arch_commit_memory_region",
    "synchronize_srcu_expedited <-kvm_swap_active_memslots": "synchronize_srcu",
    "kvm_flush_remote_tlbs <-kvm_mmu_notifier_invalidate_range_start": "flush_remote_tlbs",
    "memslot_rmap_alloc <-kvm_arch_prepare_memory_region": "memslot_rmap_alloc",
}


@pytest.mark.parametrize(("body", "text"), RECORDED.items(), ids=[b.split()[0] for b in RECORDED])
def test_what_counts_of_a_line(body, text):
    assert comparable(body) == text


@pytest.mark.parametrize(
    "body",
    [
        "kvm_entry: vcpu 0, rip 0xd0000000",
        "kvm_mmu_load <-kvm_arch_vcpu_ioctl_run",
        "synchronize_srcu_expedited <-kvm_page_track_unregister_notifier",
        "kvm_flush_remote_tlbs_memslot <-kvm_set_memslot",
        (
            "kvm_tdp_mmu_spte_changed: as id 0 gfn 1 level 1 old_spte 8000000000000000 "
            "new_spte 80000000000005a0"
        ),
        "kvm_tdp_mmu_spte_changed: as id 0 gfn 1 level 1 old_spte 0 new_spte 5a0",
    ],
)
def test_what_does_not_count(body):
    assert comparable(body) is None


def test_lite_recordings_have_no_changes_of_4k_entries():
    small = "kvm_tdp_mmu_spte_changed: as id 0 gfn 1 level 1 old_spte 0 new_spte 1000e67"
    large = small.replace("level 1", "level 2")
    assert comparable(small) is not None
    assert comparable(small, lite=True) is None
    assert comparable(large, lite=True) == comparable(large)


def test_an_spte_that_maps_nothing_is_kept_whole():
    assert masked_spte("8000000000000000") == "8000000000000000"
    assert masked_spte("8080000004000df") == "8080000004000df"
    assert masked_spte("8000000102903e67") == "8000000000000e67+pfn"


def test_lines_are_task_and_body():
    line = "        kvmtrace-197     [001] ...1.    12.140501: swap_slots: (x) as_id=0x0"
    assert split_line(line) == Line("kvmtrace", "swap_slots: (x) as_id=0x0")
    assert split_line(" kvm-nx-lpage-re-201     [000] .....    12.2: x").task == "worker"
    for other in ("# tracer: function", "", "CPU:1 [LOST 12 EVENTS]", "vcpu0-1 [000] x"):
        assert split_line(other) is None


def test_marks():
    assert mark_of("tracing_mark_write: OP 12 read 0x400000") == Mark("OP", 12)
    assert mark_of("tracing_mark_write: END 12") == Mark("END", 12)
    assert mark_of("tracing_mark_write: SETUP begin") == Mark("SETUP", None)
    assert mark_of("kvm_page_fault: OP 12") is None


CUT_SHORT = [body[: body.rindex(" ")] for body in RECORDED if body.split()[0].endswith(":")]


@pytest.mark.parametrize("body", CUT_SHORT, ids=lambda body: body.split()[0])
def test_a_line_cut_short_is_told_or_still_says_what_counts(body):
    message = complaint(lambda: comparable(body))
    if message is None:
        assert comparable(body)
    else:
        assert re.match(r"the event '.*' is cut short; expected text such as", message)


@given(st.sampled_from([*EVENTS, "kvm_entry:"]), st.text(max_size=80), st.booleans())
def test_any_body_is_understood_or_told(word, rest, lite):
    message = complaint(lambda: comparable(f"{word} {rest}", lite=lite))
    assert message is None or "expected" in message


@given(st.text(max_size=80))
def test_any_line_is_one_or_is_not(text):
    split_line(text)
    mark_of(f"tracing_mark_write: OP {text}")
