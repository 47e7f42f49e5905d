"""How operations are declared: their first word, their arguments, their usage line.

Ours.
"""

from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from typing import Any, ClassVar, NamedTuple, TypeVar

from kvmmu_edu.scenario.arguments import Argument


@dataclass(frozen=True, slots=True)
class Operation:
    """Something that a line of a scenario asks for."""

    #: whether it is a header line, which is no operation of its own and is not counted
    is_header: ClassVar[bool] = False
    #: whether it is done by a vCPU
    is_guest_work: ClassVar[bool] = False


class Verb(NamedTuple):
    """A first word: the class it stands for, and the fields that the word itself decides."""

    kind: type[Operation]
    fixed: dict[str, Any]


#: first word of a line -> what it means
VERBS: dict[str, Verb] = {}

Kind = TypeVar("Kind", bound=type[Operation])


def verb(name: str, **fixed: Any) -> Callable[[Kind], Kind]:
    """Register a class under the first word *name*."""

    def register(kind: Kind) -> Kind:
        VERBS[name] = Verb(kind, fixed)
        return kind

    return register


def arguments_of(kind: type[Operation]) -> list[tuple[str, Argument, bool]]:
    """Return field name, argument and whether it is required, in the order of the line."""
    return [
        (item.name, item.metadata["argument"], item.default is MISSING)
        for item in fields(kind)
        if "argument" in item.metadata
    ]


def usage(name: str) -> str:
    """Return how an operation is written.

    ``read GPA [COUNT [STRIDE]]``: what stands in brackets may be left out.
    """
    required, optional = [name], ""
    for _, item, needed in arguments_of(VERBS[name].kind):
        text = item.name + ("..." if item.rest else "")
        if needed:
            required.append(text)
        else:
            optional = optional.replace("]", f" [{text}]]", 1) if optional else f" [{text}]"
    return " ".join(required) + optional
