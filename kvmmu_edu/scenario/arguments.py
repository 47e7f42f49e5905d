"""What the words of an operation may be: how each kind of argument is read from text.

A field of an operation is declared with :func:`argument`, which names it as the usage
line shall and says how it is read.

Ours.
"""

from collections.abc import Callable
from dataclasses import MISSING, dataclass, field
from typing import Any, NamedTuple, TypeAlias

from kvmmu_edu.errors import UsageError
from kvmmu_edu.scenario.quantities import number

Reader: TypeAlias = Callable[[str], Any]

#: flags of a memory slot as scenarios write them
SLOT_FLAGS = {"-": 0, "d": 1, "r": 2, "rd": 3, "dr": 3}


class Argument(NamedTuple):
    """An argument: its name in the usage line, and what reads it; *rest*: one or more words."""

    name: str
    read: Reader
    rest: bool = False


def argument(
    name: str, read: Reader = number, *, default: Any = MISSING, rest: bool = False
) -> Any:
    """Declare a field of an operation as its next argument; optional if it has a default."""
    metadata = {"argument": Argument(name, read, rest)}
    if default is MISSING:
        return field(metadata=metadata)
    return field(metadata=metadata, default=default)


@dataclass(frozen=True, slots=True)
class HostAddress:
    """A host address: *offset* bytes into a named mapping, or from 0 when *name* is empty."""

    name: str
    offset: int


def host_address(text: str) -> HostAddress:
    """Read ``NAME``, ``NAME+offset`` or ``@address``.

    >>> host_address("A+4K")
    HostAddress(name='A', offset=4096)

    :raises UsageError: when it is none of these
    """
    if text.startswith("@"):
        return HostAddress("", number(text[1:]))
    name, plus, offset = text.partition("+")
    if not name.isidentifier():
        raise UsageError(f"{text!r} is not a host address; expected NAME, NAME+offset or @address")
    return HostAddress(name, number(offset) if plus else 0)


def slot_flags(text: str) -> int:
    """Read the flags of a memory slot: ``-``, ``d`` (log), ``r`` (read-only), ``rd``, a number.

    :raises UsageError: when it is none of these
    """
    if text in SLOT_FLAGS:
        return SLOT_FLAGS[text]
    try:
        return number(text)
    except UsageError:
        raise UsageError(
            f"{text!r} are no flags of a slot; expected - or d or r or rd or a number"
        ) from None


def vcpu_name(text: str) -> int:
    """Read ``v0``, ``v1``, ...

    :raises UsageError: when it is not the letter v and a number
    """
    if not is_vcpu_name(text):
        raise UsageError(f"{text!r} names no vCPU; expected v0, v1, ...")
    return int(text[1:])


def is_vcpu_name(text: str) -> bool:
    """Return whether *text* is the letter v and a number of at most four digits."""
    return text[:1] == "v" and text[1:].isascii() and text[1:].isdigit() and len(text) <= 5


def number_or_off(text: str) -> int:
    """Read a number, or ``off`` as -1."""
    return -1 if text == "off" else number(text)


def one_of(*words: str) -> Reader:
    """Return what reads exactly one of these words."""

    def read(text: str) -> str:
        if text not in words:
            raise UsageError(f"{text!r} is not known here; expected {' or '.join(words)}")
        return text

    return read


def word(text: str) -> str:
    """Read any word."""
    return text


def identifier(text: str) -> str:
    """Read the name of a mapping.

    :raises UsageError: unless it is letters, digits and underscores
    """
    if not text.isidentifier():
        raise UsageError(f"{text!r} cannot name a mapping; expected letters and digits")
    return text


#: madvise() advice by number, for scenarios that write it so
ADVICE = {
    3: "willneed",
    4: "dontneed",
    8: "free",
    12: "mergeable",
    13: "unmergeable",
    14: "hugepage",
    15: "nohugepage",
    20: "cold",
    21: "pageout",
    22: "populate-read",
    23: "populate-write",
    25: "collapse",
}


def advice(text: str) -> str:
    """Read an advice of madvise(), by its name without ``MADV_`` or by its number.

    >>> advice("12"), advice("dontneed")
    ('mergeable', 'dontneed')

    :raises UsageError: when it is neither
    Kernel: MADV_POPULATE_WRITE, include/uapi/asm-generic/mman-common.h (v6.12)
    """
    name = ADVICE.get(number(text), text) if text.isdigit() else text
    if name not in ADVICE.values():
        raise UsageError(f"{text!r} is no advice; expected {', '.join(ADVICE.values())}")
    return name
