"""Tables of what there is: ask a VM, a run, the kernel's sources, a recording.

Each function returns a :class:`~kvmmu_widgets.grid.Grid`, made from the engine's state or from
its events at the moment of the call.  Ours.

===================  ==========================================================
``slots.py``         slots, both sets, the way of a lookup
``tables.py``        page tables: the way of a walk, bits, levels
``events.py``        faults, and what counters moved
``kernel.py``        where to read on
``recording.py``     a recording of the real kernel beside a run
===================  ==========================================================
"""

from kvmmu_widgets.look.events import faults, moved
from kvmmu_widgets.look.kernel import kernel
from kvmmu_widgets.look.recording import agreement, events
from kvmmu_widgets.look.slots import path, sets, slots
from kvmmu_widgets.look.tables import bits, levels, tables, walk

__all__ = [
    "agreement",
    "bits",
    "events",
    "faults",
    "kernel",
    "levels",
    "moved",
    "path",
    "sets",
    "slots",
    "tables",
    "walk",
]
