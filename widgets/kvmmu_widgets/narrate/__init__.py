"""One sentence for each event, for people who read kernel code.

=================  ====================================================
``narrator.py``    folds events and picks the words
``context.py``     what a sentence may refer to: slots, tables
``slots.py``       memory slots, host memory, notifiers, operations, locks
``page_tables.py`` tables and their life
``sptes.py``       changes of entries
``vcpus.py``       faults, requests, flushes
=================  ====================================================

Ours.
"""

from kvmmu_widgets.narrate.context import Line
from kvmmu_widgets.narrate.narrator import Narrator

__all__ = ["Line", "Narrator"]
