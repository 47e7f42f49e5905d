import pytest

from kvmmu_edu.errors import UsageError
from kvmmu_edu.scenario.payload import LEAF_FLAGS, PAYLOAD_GPA, TABLE_FLAGS, Payload
from kvmmu_edu.units import PAGE_SIZE

HVA = 0x7F00_0000_0000


class Words:
    """Host memory as a dict of words."""

    def __init__(self):
        self.words = {}

    def read(self, hva, nbytes=8):
        return self.words.get(hva, 0)

    def write(self, hva, value, nbytes=8):
        self.words[hva] = value


@pytest.fixture
def payload():
    return Payload(Words(), PAYLOAD_GPA, HVA)


def entry(payload, page, index):
    """Return an entry of the table in one of the payload's pages."""
    return payload.memory.read(HVA + page * PAGE_SIZE + index * 8)


def walk(payload, gva):
    """Translate as the CPU does."""
    table = payload.cr3
    for level in (4, 3, 2, 1):
        shift = 12 + 9 * (level - 1)
        pte = payload.memory.read(HVA + table - PAYLOAD_GPA + ((gva >> shift) & 511) * 8)
        assert pte & 1
        table = pte & 0x000F_FFFF_FFFF_F000
        if level == 1 or pte & 0x80:
            return table + (gva & ((1 << shift) - 1))
    return None


def test_1g_maps_512_gib_to_themselves_with_one_table(payload):
    payload.build("1g")
    assert entry(payload, 1, 0) == 0xD0002000 | TABLE_FLAGS
    assert entry(payload, 2, 3) == 3 << 30 | 0xE3
    assert entry(payload, 2, 511) == 511 << 30 | 0xE3
    assert payload.next_page == 3
    assert walk(payload, 0x1234567890) == 0x1234567890


def test_2m_maps_4_gib_to_themselves_with_five_tables(payload):
    payload.build("2m")
    assert [entry(payload, 2, i) for i in range(5)] == [
        0xD0003027, 0xD0004027, 0xD0005027, 0xD0006027, 0,
    ]  # fmt: skip
    assert entry(payload, 4, 2) == 0x40400000 | 0xE3
    assert payload.next_page == 7


def test_own_maps_only_the_payload(payload):
    payload.build("own")
    assert entry(payload, 1, 0) == 0xD0002027
    assert [i for i in range(512) if entry(payload, 2, i)] == [3]
    assert entry(payload, 2, 3) == 0xD0003027
    assert entry(payload, 3, 128) == 0xD0004027
    assert [entry(payload, 4, i) for i in (0, 63, 64)] == [0xD0000063, 0xD003F063, 0]


def test_a_later_mapping_takes_the_next_two_pages(payload):
    payload.build("own")
    payload.map(0x400000, 0x800000, 2 * PAGE_SIZE, 1, LEAF_FLAGS)
    assert entry(payload, 2, 0) == 0xD0005027
    assert entry(payload, 5, 2) == 0xD0006027
    assert entry(payload, 6, 1) == 0x801063
    assert payload.pte_gpa(0x400000, 1) == 0xD0006000
    assert payload.pte_gpa(0x400000, 2) == 0xD0005010


def test_large_pages_get_their_bit(payload):
    payload.build("own")
    payload.map(0x40000000, 0x80000000, 4 << 20, 2, 0x67)
    assert walk(payload, 0x40200123) == 0x80200123
    assert entry(payload, 5, 1) == 0x80200000 | 0x67 | 0x80


def test_an_entry_without_a_table_is_told(payload):
    payload.build("own")
    with pytest.raises(UsageError, match="no table of level 2 for 0x400000; expected a gmap"):
        payload.pte_gpa(0x400000, 1)
    with pytest.raises(UsageError, match="level 5 of the guest's tables; expected 1 to 4"):
        payload.pte_gpa(0x400000, 5)


def test_a_large_page_in_the_way_is_told(payload):
    payload.build("1g")
    with pytest.raises(UsageError, match="mapped by a large page of level 3"):
        payload.map(0x400000, 0x400000, PAGE_SIZE, 1, LEAF_FLAGS)


def test_pages_for_tables_can_run_out(payload):
    payload.build("own")
    with pytest.raises(UsageError, match="64 pages are used up"):
        payload.map(1 << 39, 0, 1 << 30, 1, LEAF_FLAGS)
