"""Experiments: several runs side by side, as one table.

Each row is a run of its own, or a moment of one; every number comes from the engine.

=============  ==================================================================
``slots.py``   what changes cost, what readers find meanwhile, what is refused
``faults.py``  what becomes of faults, how large pages get, what a deletion takes
``stops.py``   a scheduler that lets one look around between two steps of a task
=============  ==================================================================

Ours.
"""

from kvmmu_widgets.experiments.faults import (
    delete_another,
    denied,
    results,
    sizes,
    write_to_read_only,
)
from kvmmu_widgets.experiments.slots import (
    costs_of_changes,
    in_between,
    in_between_fault,
    lookups_during,
    refusals,
    slot_limit,
)

__all__ = [
    "costs_of_changes",
    "delete_another",
    "denied",
    "in_between",
    "in_between_fault",
    "lookups_during",
    "refusals",
    "results",
    "sizes",
    "slot_limit",
    "write_to_read_only",
]
