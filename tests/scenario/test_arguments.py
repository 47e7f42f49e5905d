import pytest

from kvmmu_edu.errors import UsageError
from kvmmu_edu.scenario.arguments import (
    HostAddress,
    advice,
    host_address,
    identifier,
    is_vcpu_name,
    number_or_off,
    one_of,
    slot_flags,
    vcpu_name,
)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("A", HostAddress("A", 0)),
        ("A+1M", HostAddress("A", 1 << 20)),
        ("A+0x1ff000", HostAddress("A", 0x1FF000)),
        ("@0xffff800000000000", HostAddress("", 0xFFFF800000000000)),
    ],
)
def test_host_addresses(text, address):
    assert host_address(text) == address


@pytest.mark.parametrize("text", ["+4K", "A+", "A+x", "@", "@A", "a b", "1A", "A-4K"])
def test_other_host_addresses_are_refused(text):
    with pytest.raises(UsageError, match="expected"):
        host_address(text)


@pytest.mark.parametrize(
    ("text", "flags"), [("-", 0), ("d", 1), ("r", 2), ("rd", 3), ("4", 4), ("0x80000000", 1 << 31)]
)
def test_flags_of_a_slot(text, flags):
    assert slot_flags(text) == flags


def test_other_flags_are_refused():
    with pytest.raises(UsageError, match="'w' are no flags of a slot; expected"):
        slot_flags("w")


def test_vcpus_are_a_letter_and_a_number():
    assert vcpu_name("v0") == 0
    assert vcpu_name("v12") == 12
    for text in ("v", "0", "x1", "v1a", "v٣", "v99999"):
        assert not is_vcpu_name(text)
        with pytest.raises(UsageError, match="names no vCPU"):
            vcpu_name(text)


def test_advice_goes_by_name_and_by_number():
    assert advice("collapse") == advice("25") == "collapse"
    for text in ("sequential", "99", "dont need"):
        with pytest.raises(UsageError, match="is no advice; expected"):
            advice(text)


def test_one_of_says_what_there_is():
    assert one_of("4k", "2m")("2m") == "2m"
    with pytest.raises(UsageError, match="'8k' is not known here; expected 4k or 2m"):
        one_of("4k", "2m")("8k")


def test_off_is_no_number():
    assert number_or_off("off") == -1
    assert number_or_off("5") == 5


def test_names_of_mappings():
    assert identifier("mem_1") == "mem_1"
    with pytest.raises(UsageError, match="cannot name a mapping"):
        identifier("A+4")
