"""The interval tree against a scan of a plain list."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kvmmu_edu.errors import InvariantError
from kvmmu_edu.lib import interval_tree
from kvmmu_edu.lib.interval_tree import (
    IntervalNode,
    for_each_interval,
    interval_tree_insert,
    interval_tree_iter_first,
    interval_tree_iter_next,
    interval_tree_remove,
    interval_tree_root,
)


def tree(*intervals):
    root = interval_tree_root()
    nodes = []
    for start, last in intervals:
        nodes.append(IntervalNode(f"[{start}, {last}]", start, last))
        interval_tree_insert(nodes[-1], root)
    return root, nodes


def touched(root, start, last):
    return [(node.start, node.last) for node in for_each_interval(root, start, last)]


def test_empty():
    root, _ = tree()
    assert interval_tree_iter_first(root, 0, 10**9) is None


def test_both_ends_belong_to_an_interval():
    root, _ = tree((10, 19))
    assert touched(root, 0, 9) == []
    assert touched(root, 0, 10) == [(10, 19)]
    assert touched(root, 19, 30) == [(10, 19)]
    assert touched(root, 20, 30) == []


def test_a_long_interval_is_found_behind_its_subtree():
    root, _ = tree((20, 29), (10, 90), (40, 49))
    assert touched(root, 60, 60) == [(10, 90)]


def test_equal_and_nested_intervals_are_all_found():
    root, _ = tree((0, 9), (0, 9), (2, 3), (0, 99))
    assert sorted(touched(root, 3, 3)) == [(0, 9), (0, 9), (0, 99), (2, 3)]


def test_iter_next_from_any_node():
    _, nodes = tree((0, 5), (10, 15), (20, 25))
    assert interval_tree_iter_next(nodes[0], 0, 30) is nodes[1]
    assert interval_tree_iter_next(nodes[0], 0, 9) is None


class AgainstList(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.root = interval_tree_root()
        self.nodes = []

    @rule(start=st.integers(0, 60), length=st.integers(0, 40))
    def insert(self, start, length):
        node = IntervalNode(len(self.nodes), start, start + length)
        self.nodes.append(node)
        interval_tree_insert(node, self.root)

    @precondition(lambda self: self.nodes)
    @rule(data=st.data())
    def remove(self, data):
        index = data.draw(st.integers(0, len(self.nodes) - 1))
        interval_tree_remove(self.nodes.pop(index), self.root)

    @rule(start=st.integers(0, 110), length=st.integers(0, 50))
    def search(self, start, length):
        last = start + length
        found = list(for_each_interval(self.root, start, last))
        wanted = [n for n in self.nodes if n.start <= last and n.last >= start]
        assert {id(node) for node in found} == {id(node) for node in wanted}
        assert len(found) == len(wanted)
        assert [n.start for n in found] == sorted(n.start for n in wanted)

    @invariant()
    def is_valid(self):
        interval_tree.check(self.root)


TestAgainstList = AgainstList.TestCase
TestAgainstList.settings = settings(
    max_examples=40, stateful_step_count=60, deadline=None, derandomize=True
)


def test_check_names_a_wrong_subtree_last():
    root, nodes = tree((20, 29), (10, 90))
    nodes[0].subtree_last = 29
    with pytest.raises(InvariantError, match=r"subtree_last of \[20, 29\] is 29 but .* is 90"):
        interval_tree.check(root)


def test_check_names_wrong_order():
    root, nodes = tree((20, 29), (10, 19))
    nodes[1].start = nodes[1].last = nodes[1].subtree_last = 25
    with pytest.raises(InvariantError, match=r"\[10, 19\] stands before \[20, 29\] but starts"):
        interval_tree.check(root)


def test_check_names_an_interval_that_ends_before_it_starts():
    root, nodes = tree((20, 29))
    nodes[0].start = 30
    with pytest.raises(InvariantError, match="starts at 30 but ends at 29"):
        interval_tree.check(root)
