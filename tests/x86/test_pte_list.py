"""Lists of entries: their memory, their order, and removal, as in both kernels."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvmmu_edu.errors import InvariantError, KernelBug
from kvmmu_edu.x86.pte_list import (
    PTE_LIST_EXT,
    SIZE_OF_PTE_LIST_DESC,
    RmapHead,
    for_each_rmap_spte,
    pte_list_add,
    pte_list_count,
    pte_list_remove,
)

BOTH = pytest.mark.parametrize("is_6_1", [False, True])


def listed(n, *, is_6_1):
    head = RmapHead()
    counts = [pte_list_add(head, 512 + i, is_6_1=is_6_1) for i in range(n)]
    assert counts == list(range(n))
    return head


@BOTH
@pytest.mark.parametrize(
    ("n", "descriptors"), [(0, 0), (1, 0), (2, 1), (14, 1), (15, 2), (28, 2), (29, 3), (512, 37)]
)
def test_how_many_descriptors_so_many_mappings_take(n, descriptors, is_6_1):
    head = listed(n, is_6_1=is_6_1)
    assert len(head.descriptors()) == descriptors == (-(-n // PTE_LIST_EXT) if n > 1 else 0)
    assert pte_list_count(head) == n
    head.check(is_6_1=is_6_1)


def test_a_descriptor_is_two_cache_lines():
    assert SIZE_OF_PTE_LIST_DESC == 128


def test_a_new_descriptor_becomes_the_head_or_is_put_at_the_end():
    new, old = (listed(15, is_6_1=is_6_1) for is_6_1 in (False, True))
    assert [len(desc.sptes) for desc in new.descriptors()] == [1, 14]
    assert new.val.tail_count == 14
    assert [len(desc.sptes) for desc in old.descriptors()] == [14, 1]
    assert next(for_each_rmap_spte(new)) == 512 + 14
    assert next(for_each_rmap_spte(old)) == 512


def test_a_gap_is_filled_from_the_head_or_from_its_own_descriptor():
    new, old = (listed(29, is_6_1=is_6_1) for is_6_1 in (False, True))
    pte_list_remove(new, 512, is_6_1=False)
    assert [len(desc.sptes) for desc in new.descriptors()] == [14, 14]
    assert new.descriptors()[1].sptes[0] == 512 + 28
    pte_list_remove(old, 512, is_6_1=True)
    assert [len(desc.sptes) for desc in old.descriptors()] == [13, 14, 1]
    assert old.val.sptes[0] == 512 + 13


@BOTH
def test_one_of_two_that_remains_keeps_the_descriptor(is_6_1):
    head = listed(2, is_6_1=is_6_1)
    pte_list_remove(head, 512, is_6_1=is_6_1)
    assert len(head.descriptors()) == 1
    pte_list_remove(head, 513, is_6_1=is_6_1)
    assert head.val == 0


@BOTH
@given(st.lists(st.integers(1, 60)))
def test_a_list_holds_what_was_put_in_and_not_taken_out(is_6_1, steps):
    head, model = RmapHead(), []
    for sptep in steps:
        if sptep in model:
            model.remove(sptep)
            pte_list_remove(head, sptep, is_6_1=is_6_1)
        else:
            assert pte_list_add(head, sptep, is_6_1=is_6_1) == len(model)
            model.append(sptep)
        head.check(is_6_1=is_6_1)
        assert sorted(for_each_rmap_spte(head)) == sorted(model)


@BOTH
@pytest.mark.parametrize("n", [0, 1, 20])
def test_what_is_not_there_cannot_be_removed(n, is_6_1):
    with pytest.raises(KernelBug, match="is not in its list"):
        pte_list_remove(listed(n, is_6_1=is_6_1), 99, is_6_1=is_6_1)


def test_a_list_with_a_hole_is_found():
    head = listed(29, is_6_1=False)
    head.descriptors()[1].sptes.pop()
    with pytest.raises(InvariantError, match="28 entries follow, but 27 do"):
        head.check(is_6_1=False)
