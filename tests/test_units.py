import itertools

import pytest

from kvmmu_edu import units as u

GFNS = [0, 1, 0x1FF, 0x200, 0x3FFFF, 0x40000, (1 << 36) - 1]
LEVELS = [u.PG_LEVEL_4K, u.PG_LEVEL_2M, u.PG_LEVEL_1G, u.PG_LEVEL_512G]


def test_a_page_of_a_level_holds_512_of_the_level_below():
    sizes = u.PAGES_PER_HPAGE[1:]
    assert sizes[0] == 1
    assert all(big == small * u.SPTE_ENT_PER_PAGE for small, big in itertools.pairwise(sizes))
    assert len(u.LEVEL_NAMES) == len(u.PAGES_PER_HPAGE)


@pytest.mark.parametrize("gfn", GFNS)
def test_gfn_and_gpa(gfn):
    assert u.gpa_to_gfn(u.gfn_to_gpa(gfn)) == gfn
    assert u.gpa_to_gfn(u.gfn_to_gpa(gfn) + u.PAGE_SIZE - 1) == gfn
    assert u.gfn_to_gpa(gfn) % u.PAGE_SIZE == 0


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("gfn", GFNS)
def test_rounding_gives_the_first_frame_of_the_page(gfn, level):
    first = u.gfn_round_for_level(gfn, level)
    assert first % u.PAGES_PER_HPAGE[level] == 0
    assert 0 <= gfn - first < u.PAGES_PER_HPAGE[level]


@pytest.mark.parametrize("gfn", GFNS)
def test_columns_are_the_digits_of_a_gfn_in_base_512(gfn):
    digits = [u.spte_index(gfn, level) for level in LEVELS]
    assert all(0 <= digit < u.SPTE_ENT_PER_PAGE for digit in digits)
    assert sum(d * u.PAGES_PER_HPAGE[level] for d, level in zip(digits, LEVELS, strict=True)) == gfn


@pytest.mark.parametrize(
    ("base_gfn", "npages", "level", "entries"),
    [
        (0, 512, u.PG_LEVEL_2M, 1),
        (0x200, 1024, u.PG_LEVEL_2M, 2),
        (1, 512, u.PG_LEVEL_2M, 2),  # starts and ends in the middle of a large page
        (0x1FF, 2, u.PG_LEVEL_2M, 2),
        (1, 512, u.PG_LEVEL_1G, 1),
        (7, 100, u.PG_LEVEL_4K, 100),
    ],
)
def test_a_slot_has_one_entry_for_each_page_it_touches(base_gfn, npages, level, entries):
    assert u.gfn_to_index(base_gfn, base_gfn, level) == 0
    assert u.gfn_to_index(base_gfn + npages - 1, base_gfn, level) + 1 == entries


@pytest.mark.parametrize(
    ("nbytes", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (2 * u.MIB, "2 MiB"),
        (u.GIB, "1 GiB"),
        (3 * u.TIB, "3 TiB"),
    ],
)
def test_sizes_as_people_write_them(nbytes, text):
    assert u.size_text(nbytes) == text
