"""Small messages written by hand, for tests of the painter."""

from copy import deepcopy
from typing import Any

from kvmmu_widgets.palette import HATCHES

KERNEL = {
    "function": "tdp_mmu_split_huge_page",
    "file": "arch/x86/kvm/mmu/tdp_mmu.c",
    "version": "v6.12",
    "url": "https://elixir.bootlin.com/linux/v6.12/source/arch/x86/kvm/mmu/tdp_mmu.c",
}
SPLIT = [
    "    huge_spte = it.old_spte",
    "    level = it.level",
    "    for i in range(SPTE_ENT_PER_PAGE):",
    "        sp.spt[i] = make_small_spte(kvm, huge_spte, sp.role, i)",
    "    if not await tdp_mmu_link_sp(kvm, it, sp, shared=shared):",
    "        return Retry",
    "    if shared:",
    "        update_page_stats(kvm, level - 1, SPTE_ENT_PER_PAGE)",
]


def _cell(t: str, s: str, cls: str, x: int, w: int, *more: str) -> dict[str, Any]:
    return {"t": t, "s": s, "cls": cls, "box": [x, 40, w, 34], "more": list(more)}


HUGE = _cell("[2] 2M", "RWX D A", "leaf2m", 10, 90, "[2] gfn 0x400 pfn 0x80400, 2M")
HUGE3 = _cell("[3] 2M", "RWX D A", "leaf2m", 106, 90, "[3] gfn 0x600 pfn 0x80600, 2M")
LINK = _cell("[2] table", "was 2M RWX", "link", 10, 90, "[2] gfn 0x400 to table 5")
EMPTY = _cell("510 empty", "", "empty", 202, 88)
RUN = _cell(
    "[0 … 511] 512 × 4K", "RWX D A", "leaf4k", 10, 250,
    *(f"[{i}] gfn {0x400 + i:#x} pfn {0x80400 + i:#x}" for i in range(64)),
)  # fmt: skip
READ_ONLY = _cell(
    "[0 … 511] 512 × 4K", "R X D A", "wrprot", 10, 250,
    *(f"[{i}] gfn {0x400 + i:#x} pfn {0x80400 + i:#x}" for i in range(64)),
)  # fmt: skip


def _content(cls: str, title: str, sub: str, *cells: dict[str, Any], badge: str = "") -> Any:
    return {"cls": cls, "title": title, "sub": sub, "badge": badge, "cells": list(cells)}


CONTENTS = [
    _content("table root", "root L4", "gfn 0x0 · as 0 · 2 refs"),
    _content("table", "table L3", "gfn 0x0"),
    _content("table", "table L2", "gfn 0x0", HUGE, HUGE3, EMPTY),
    _content("table", "table L2", "gfn 0xc0000", _cell("[128] table", "payload", "link", 10, 110)),
    _content("table unlinked", "table L1", "gfn 0x400 · not linked", RUN, badge="new") | {"h": 80},
    _content("table", "table L2", "gfn 0x0", LINK, HUGE3, EMPTY),
    _content("table", "table L1", "gfn 0x400", RUN),
    _content("table", "table L1", "gfn 0x400 · dirty logging", READ_ONLY),
]
LAYOUT = {
    "w": 760,
    "h": 420,
    "nodes": {
        "t1": [300, 10, 190, 46],
        "t2": [300, 96, 190, 46],
        "t3": [60, 188, 300, 84],
        "t4": [500, 188, 190, 84],
        "t5": [40, 326, 270, 84],
    },
    "edges": {
        "t1>t2": {"d": "M395,56C395,66 395,76 395,86", "tip": [395, 86, 395, 96],
                  "label": "[0]", "at": [402, 78]},
        "t2>t3": {"d": "M350,142C320,160 250,165 222,180", "tip": [222, 180, 213, 187],
                  "label": "[0]", "at": [250, 158]},
        "t2>t4": {"d": "M430,142C480,160 540,165 572,180", "tip": [572, 180, 581, 187],
                  "label": "[3]", "at": [530, 158]},
        "t3>t5": {"d": "M115,262C115,280 115,300 115,316", "tip": [115, 316, 115, 326]},
    },
    "groups": {"as0": {"box": [30, 170, 680, 250], "label": "address space 0"}},
}  # fmt: skip
STEPS: list[dict[str, Any]] = [
    {"layout": 0, "nodes": {"t1": 0, "t2": 1, "t3": 2, "t4": 3},
     "edges": {"t1>t2": "linked", "t2>t3": "linked", "t2>t4": "linked"},
     "text": "Nothing has happened yet."},
    {"layout": 0, "text": "The ioctl takes slots_lock.", "short": "slots_lock", "op": 0,
     "task": "kvmtrace", "locks": {"slots_lock": "kvmtrace"}, "source": 0, "line": 40},
    {"layout": 0, "text": "mmu_lock is taken for reading: faults may go on.", "op": 0,
     "short": "mmu_lock: read", "task": "kvmtrace", "locks": {"mmu_lock": "read: kvmtrace"},
     "source": 0, "line": 41},
    {"layout": 0, "nodes": {"t5": 4}, "marks": ["t5"], "op": 0, "task": "kvmtrace",
     "text": "A table of 512 small entries is built at gfn 0x400; nobody can see it yet.",
     "short": "build 512 children", "source": 0, "line": 43, "counters": {"2": [5, 6]}},
    {"layout": 0, "text": "vCPU 0 reads 0x600000: its TLB has the translation.", "op": 1,
     "short": "read 0x600000", "task": "vcpu0"},
    {"layout": 0, "nodes": {"t3": 5, "t5": 6}, "edges": {"t3>t5": "linked"},
     "marks": ["t3#0", "t3>t5", "t5"], "op": 2, "task": "kvmtrace",
     "text": "The 2M entry at gfn 0x400 now points to a table of 512 ready 4K entries.",
     "short": "cmpxchg 0x400: 2M → table", "source": 0, "line": 44,
     "ftrace": "kvm_mmu_split_huge_page: gfn 400 spte 86000000804004b7 level 2 errno 0",
     "counters": {"0": [3, 515], "1": [2, 1]},
     "checks": {"leaves equal pages": True, "no stale TLB entry": True}},
    {"layout": 0, "nodes": {"t5": 7}, "marks": ["t5#0", "t5"], "op": 3, "task": "kvmtrace",
     "text": "All 512 entries are write-protected.", "short": "write-protect", "source": 1,
     "line": 10, "checks": {"leaves equal pages": True, "no stale TLB entry": False}},
    {"layout": 0, "text": "The locks are given back.", "short": "unlock", "op": 3,
     "task": "kvmtrace", "locks": {"mmu_lock": None, "slots_lock": None}},
    {"layout": 0, "nodes": {"t5": None, "t3": 2}, "edges": {"t3>t5": None}, "op": 4,
     "marks": ["t5", "t3>t5", "t3#0"], "task": "vcpu0", "counters": {"0": [515, 3], "1": [1, 2]},
     "text": "The table is gone again, its place taken by one entry.", "short": "collapse",
     "checks": {"leaves equal pages": True, "no stale TLB entry": True}},
]  # fmt: skip
OPS = [
    {"n": 0, "text": "slot 0 flags +log", "first": 1, "last": 3},
    {"n": 1, "text": "read 0x600000", "first": 4, "last": 4},
    {"n": 2, "text": "slot 0 flags +log, continued", "first": 5, "last": 5},
    {"n": 3, "text": "clear the log", "first": 6, "last": 7},
    {"n": 4, "text": "flags 0", "first": 8, "last": 8},
]
LEGEND = [
    {"cls": "changed", "text": "changed in this step"},
    {"cls": "leaf2m", "text": "2M page, writable"},
    {"cls": "leaf4k", "text": "4K page, writable"},
    {"cls": "wrprot", "text": "write-protected page"},
    {"cls": "link", "text": "points to a table"},
    {"cls": "empty", "text": "nothing mapped"},
    {"cls": "linked", "text": "entry that points to a table"},
]


def split_message() -> dict[str, Any]:
    """Return a run of nine steps, two tasks, two locks: a huge page is split and put together."""
    sources = [
        {"module": "kvmmu_edu/x86/tdp_mmu.py", "function": "tdp_mmu_split_huge_page",
         "head": "async def tdp_mmu_split_huge_page(kvm, it, sp, *, shared):",
         "summary": "Replace a huge page by a table of smaller ones.",
         "start": 40, "lines": SPLIT, "kernel": KERNEL},
        {"module": "kvmmu_edu/x86/dirty_log.py", "function": "wrprot_gfn_range", "start": 9,
         "head": "async def wrprot_gfn_range(kvm, root, start, end):",
         "lines": ["    spte_set = False", "    return spte_set"],
         "kernel": {**KERNEL, "url": "javascript:alert(1)"}},
    ]  # fmt: skip
    return deepcopy({
        "v": 1, "title": "Eager page splitting", "layouts": [LAYOUT], "contents": CONTENTS,
        "ops": OPS, "sources": sources, "counters": ["pages_4k", "pages_2m", "tdp_mmu_pages"],
        "legend": LEGEND, "hatches": dict(HATCHES), "steps": STEPS,
    })  # fmt: skip


def rotating_message() -> dict[str, Any]:
    """Return a run of two steps in which a tree rotates: a layout for each."""
    first, second = deepcopy(LAYOUT), deepcopy(LAYOUT)
    second["nodes"]["t4"] = [300, 326, 190, 84]
    contents = [
        _content("red", "slot 1", "[0x0, 0x200)"),
        _content("black", "slot 2", "[0x200, 0x400)"),
    ]
    steps = [
        {"layout": 0, "nodes": {"t1": 1, "t4": 0}, "edges": {"t2>t4": "child"}, "text": "Before."},
        {"layout": 1, "marks": ["t4"], "text": "Rotated."},
    ]
    return {"v": 1, "title": "A rotation", "layouts": [first, second], "contents": contents,
            "steps": steps}  # fmt: skip


def hostile_message(markup: str) -> dict[str, Any]:
    """Return a message in which every text is *markup*."""

    def poison(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {k: poison(v, k) for k, v in value.items()}
        if isinstance(value, list):
            return [poison(item, key) for item in value]
        return markup if isinstance(value, str) and key not in _NOT_TEXT else value

    return poison(split_message())  # type: ignore[no-any-return]


#: strings that are no text for people: classes, path data, ids
_NOT_TEXT = {"cls", "d", "t1>t2", "t2>t3", "t2>t4", "t3>t5", "marks", *HATCHES}
