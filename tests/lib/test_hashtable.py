"""The hash table against a plain dict."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvmmu_edu.errors import InvariantError
from kvmmu_edu.lib.hashtable import HashTable, HlistNode, hash_32


def test_consecutive_keys_spread_evenly():
    counts = [0] * 128
    for key in range(32764):
        counts[hash_32(key, 7)] += 1
    assert max(counts) - min(counts) <= 4


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 40))))
def test_holds_what_a_dict_holds(steps):
    table, model = HashTable(2), {}
    for add, key in steps:
        if add and key not in model:
            model[key] = HlistNode(key)
            table.hash_add(model[key], key)
        elif not add and key in model:
            table.hash_del(model.pop(key))
        table.check()
        assert sorted(table.hash_for_each()) == sorted(model)


def test_newest_entry_comes_first_in_its_bucket():
    table = HashTable(1)
    same = [key for key in range(20) if hash_32(key, 1) == 0][:3]
    for key in same:
        table.hash_add(HlistNode(key), key)
    assert list(table.hash_for_each()) == same[::-1]


def test_check_names_a_wrong_link():
    table = HashTable(1)
    first, second = [HlistNode(key) for key in range(20) if hash_32(key, 1) == 0][:2]
    table.hash_add(first, first.owner)
    table.hash_add(second, second.owner)
    first.prev = None
    with pytest.raises(InvariantError, match="names None as the one before"):
        table.check()


def test_check_names_a_wrong_bucket():
    table = HashTable(1)
    node = HlistNode(0)
    table.hash_add(node, 0)
    node.bucket = 1
    with pytest.raises(
        InvariantError, match="key 0 is in bucket 0 but names bucket 1; the key belongs in 0"
    ):
        table.check()
