import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvmmu_edu.errors import UsageError
from kvmmu_edu.scenario.quantities import number
from tests.scenario.complaints import complaint


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("010", 8),
        ("0x10", 16),
        ("0XfF", 255),
        ("64K", 65536),
        ("0x10K", 16384),
        ("8M", 8 << 20),
        ("512G", 512 << 30),
        ("0xffffffffffffffff", (1 << 64) - 1),
    ],
)
def test_numbers_are_those_of_c(text, value):
    assert number(text) == value


@pytest.mark.parametrize(
    "text", ["", "-1", "08", "0x", "1k", "1.5", "K", "0x1 ", "1_0", "٣", "1MM", "0x1g"]
)
def test_what_is_no_number_is_refused(text):
    with pytest.raises(UsageError, match="is not a number; expected"):
        number(text)


@pytest.mark.parametrize("text", ["0x10000000000000000", "17179869184G"])
def test_more_than_64_bits_are_refused(text):
    with pytest.raises(UsageError, match="too large; expected"):
        number(text)


@given(st.integers(0, (1 << 64) - 1))
def test_hexadecimal_and_decimal_read_the_same(value):
    assert number(hex(value)) == number(str(value)) == value


@given(st.text(max_size=40))
def test_any_text_is_a_number_or_a_usage_error(text):
    message = complaint(lambda: number(text))
    assert message is None or "expected" in message
