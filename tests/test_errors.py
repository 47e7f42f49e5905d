import errno

import pytest

from kvmmu_edu.errors import (
    Deadlock,
    InvariantError,
    KernelBug,
    KvmError,
    UsageError,
    ensure,
    expect_stored,
    expect_unsigned,
)


@pytest.mark.parametrize("name", ["EINVAL", "EEXIST", "ENOMEM", "EFAULT", "ENOENT", "EIO"])
def test_a_refusal_has_the_kernels_errno(name):
    error = KvmError(name, "because")
    assert error.errno == getattr(errno, name)
    assert (error.name, error.why) == (name, "because")
    assert str(error) == f"{name}: because"


def test_a_refusal_is_caught_as_the_operating_systems():
    with pytest.raises(OSError, match="EINVAL: no such slot") as caught:
        raise KvmError("EINVAL", "no such slot")
    assert caught.value.errno == errno.EINVAL


def test_an_errno_that_does_not_exist_is_our_mistake():
    with pytest.raises(AttributeError):
        KvmError("ENONSENSE", "because")


def test_ensure():
    ensure(1, "never")
    with pytest.raises(InvariantError, match="2 tables are linked but 1 is counted"):
        ensure([], "2 tables are linked but 1 is counted")


def test_each_audience_can_be_told_apart():
    kinds = [KvmError, UsageError, InvariantError, KernelBug, Deadlock]
    assert not any(issubclass(a, b) for a in kinds for b in kinds if a is not b)


def test_unsigned_numbers():
    assert expect_unsigned("ms", 0, 8) == 0
    assert expect_unsigned("ms", 255, 8) == 255
    for wrong in (-1, 256):
        with pytest.raises(UsageError, match=r"ms is .*; expected 0 to 2\*\*8 - 1"):
            expect_unsigned("ms", wrong, 8)
    with pytest.raises(TypeError):
        expect_unsigned("ms", 1.0, 8)


def test_values_that_bytes_can_hold():
    for fits in (-128, 0, 255):
        expect_stored(fits, 1)
    for wrong in (-129, 256):
        with pytest.raises(UsageError, match="expected one that fits into 1 bytes"):
            expect_stored(wrong, 1)
