"""Numbers and truth values, as the kernel reads them."""

import pytest

from kvmmu_edu.errors import KvmError
from kvmmu_edu.lib.kstrtox import kstrtobool, kstrtoint, kstrtouint


@pytest.mark.parametrize("text", ["Y", "y", "1", "t", "true", "on", "ON", "yes", "1\n", "10"])
def test_true(text):
    assert kstrtobool(text) is True


@pytest.mark.parametrize("text", ["N", "n", "0", "f", "Force", "of", "off", "never", "none"])
def test_false(text):
    assert kstrtobool(text) is False


@pytest.mark.parametrize("text", ["", "bogus", "o", "oh", " Y", "2", "-1"])
def test_neither(text):
    with pytest.raises(KvmError, match="EINVAL"):
        kstrtobool(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("60", 60),
        ("60\n", 60),
        ("+60", 60),
        ("0x10", 16),
        ("0X1f", 31),
        ("010", 8),
        ("4294967295", (1 << 32) - 1),
    ],
)
def test_numbers_without_sign(text, value):
    assert kstrtouint(text) == value


@pytest.mark.parametrize(
    "text", ["", "\n", "-1", "+", "08", "0x", "0xg", "1_0", "1 ", "1\n\n", "٣"]
)
def test_no_numbers(text):
    with pytest.raises(KvmError, match="EINVAL"):
        kstrtouint(text)


def test_numbers_with_sign():
    assert kstrtoint("-2147483648") == -(1 << 31)
    assert kstrtoint("+2147483647") == (1 << 31) - 1


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (kstrtouint, "4294967296"),
        (kstrtoint, "2147483648"),
        (kstrtoint, "-2147483649"),
    ],
)
def test_numbers_that_are_too_large(read, text):
    with pytest.raises(KvmError, match="ERANGE"):
        read(text)
