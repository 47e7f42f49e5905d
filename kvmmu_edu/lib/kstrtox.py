"""Numbers and truth values from text, as the kernel reads them.

Kernel: lib/kstrtox.c (v6.12)
"""

from kvmmu_edu.errors import KvmError


def kstrtobool(text: str) -> bool:
    """Return the truth value that *text* begins with.

    >>> kstrtobool("Y"), kstrtobool("on"), kstrtobool("0"), kstrtobool("none")
    (True, True, False, False)

    :raises KvmError: EINVAL
    Kernel: kstrtobool(), lib/kstrtox.c (v6.12)
    """
    first, second = text[:1].lower(), text[:2].lower()
    if first in {"y", "t", "1"} or second == "on":
        return True
    if first in {"n", "f", "0"} or second == "of":
        return False
    raise KvmError("EINVAL", f"{text!r} is no truth value; expected Y or N")


def kstrtouint(text: str) -> int:
    """Return a number of 32 bits without sign; 0x and 0 before it give the base.

    >>> kstrtouint("010"), kstrtouint("0x10"), kstrtouint("+10")
    (8, 16, 10)

    :raises KvmError: EINVAL, ERANGE
    Kernel: kstrtouint(), lib/kstrtox.c (v6.12)
    """
    return _number(text, text.removeprefix("+"), 1 << 32)


def kstrtoint(text: str) -> int:
    """Return a number of 32 bits with sign.

    >>> kstrtoint("-1")
    -1

    :raises KvmError: EINVAL, ERANGE
    Kernel: kstrtoint(), lib/kstrtox.c (v6.12)
    """
    if text.startswith("-"):
        return -_number(text, text[1:], (1 << 31) + 1)
    return _number(text, text.removeprefix("+"), 1 << 31)


def _number(text: str, digits: str, bound: int) -> int:
    digits = digits.removesuffix("\n")
    base = 10
    if digits[:2].lower() == "0x" and len(digits) > 2:
        digits, base = digits[2:], 16
    elif digits[:1] == "0":
        base = 8
    if not digits.isascii() or not digits.isalnum():
        raise KvmError("EINVAL", f"{text!r} is no number")
    try:
        value = int(digits, base)
    except ValueError:
        raise KvmError("EINVAL", f"{text!r} is no number") from None
    if value >= bound:
        raise KvmError("ERANGE", f"{text!r} does not fit into 32 bits")
    return value
