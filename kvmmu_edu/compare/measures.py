"""The three measures of an operation: what it returned, what it counted, what happened.

Ours.
"""

import re
from typing import Any, Final

from kvmmu_edu.compare.material import Result

#: statistics of the memory half; others (interrupts, timers) depend on the machine
STATISTICS: Final = re.compile(
    r"vm\.(remote_tlb_flush_requests|remote_tlb_flush|mmu_shadow_zapped|mmu_pte_write"
    r"|mmu_pde_zapped|mmu_flooded|mmu_recycled|mmu_cache_miss|mmu_unsync"
    r"|pages_4k|pages_2m|pages_1g|nx_lpage_splits|max_mmu_rmap_size)"
    r"|v\d+\.(pf_taken|pf_fixed|pf_emulate|pf_spurious|pf_fast|pf_mmio_spte_created|mmio_exits)"
)
#: what an operation may return besides its return code
VALUES: Final = ("ring", "left", "value", "pte_gpa")


def outcome(result: Result) -> dict[str, Any]:
    """Return what an operation returned, without the port I/O that ends every guest access."""
    exits = [one for one in result.get("exits") or [] if one.get("exit") != "IO"]
    return {
        "rc": result.get("rc"),
        "errno": result.get("errno"),
        "exits": exits,
        "dirty": result.get("dirty"),
        "values": {name: result[name] for name in VALUES if name in result},
        "rmaps": (result.get("rmaps") or "").strip() or None,
    }


def changes(result: Result) -> dict[str, int]:
    """Return by how much each statistic changed during an operation."""
    if result["op"].split()[:1] == ["stats"]:
        return {}
    return {
        name: pair[1] - pair[0]
        for name, pair in result.get("stats", {}).items()
        if STATISTICS.fullmatch(name) and isinstance(pair, list) and pair[1] != pair[0]
    }


def by_task(events: list[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    """Return the events of each task, in their order; order across tasks does not count."""
    tasks: dict[str, list[str]] = {}
    for task, text in events:
        tasks.setdefault(task, []).append(text)
    return {task: tuple(texts) for task, texts in tasks.items()}
