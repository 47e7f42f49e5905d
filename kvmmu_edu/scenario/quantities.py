"""Numbers as scenarios write them: C base 0, with a suffix K, M or G.

Ours.
"""

import re

from kvmmu_edu.errors import UsageError
from kvmmu_edu.units import GIB, KIB, MIB

_NUMBER = re.compile(
    r"(?P<digits>0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)(?P<suffix>[KMG]?)", re.ASCII
)
_FACTOR = {"": 1, "K": KIB, "M": MIB, "G": GIB}
_LIMIT = 1 << 64


def number(text: str) -> int:
    """Return the number that *text* writes.

    >>> number("0x10"), number("4K"), number("010")
    (16, 4096, 8)

    :raises UsageError: when it is none, or does not fit 64 bits
    """
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise UsageError(f"{text!r} is not a number; expected one such as 64, 0x400000 or 8M")
    digits = match["digits"]
    base = 16 if digits[:2] in ("0x", "0X") else 8 if digits[0] == "0" else 10
    value = int(digits, base) * _FACTOR[match["suffix"]]
    if value >= _LIMIT:
        raise UsageError(f"{text} is too large; expected a number of 64 bits")
    return value
