"""Says what an event means.  Ours."""

from collections.abc import Callable
from typing import Any, Final

from kvmmu_edu.choices import Choices
from kvmmu_edu.x86.spte import spte_format
from kvmmu_widgets.narrate import page_tables, shadow, slots, sptes, vcpus
from kvmmu_widgets.narrate.context import Context, Line

#: who tells which kind of event
TELLERS: Final[dict[type[Any], Callable[[Any, Context], Line]]] = {
    **slots.TELLERS,
    **page_tables.TELLERS,
    **shadow.TELLERS,
    **sptes.TELLERS,
    **vcpus.TELLERS,
}


class Narrator:
    """Tells a run event by event; a sentence may refer to what was told before.

    :param choices: the modelled kernel: what the bits of an entry mean
    """

    def __init__(self, choices: Choices) -> None:
        """Start with nothing told."""
        self.context = Context(spte_format(choices))

    def tell(self, event: Any) -> Line:
        """Return what *event* means."""
        line = TELLERS[type(event)](event, self.context)
        self.context.hear(event)
        return line

    def hear(self, event: Any) -> None:
        """Take an event in without a word."""
        self.context.hear(event)
