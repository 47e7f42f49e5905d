"""The red-black tree against a sorted list, and its validator against broken trees."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kvmmu_edu.errors import InvariantError
from kvmmu_edu.lib import rbtree
from kvmmu_edu.lib.rb_erase import rb_erase, rb_replace_node
from kvmmu_edu.lib.rbtree import (
    BLACK,
    RED,
    RbNode,
    RbRoot,
    in_order,
    rb_first,
    rb_last,
    rb_next,
    rb_prev,
)
from tests.lib.trees import insert, leaf, owner, plain, tree


def test_empty():
    root = RbRoot()
    assert rb_first(root) is None
    assert rb_last(root) is None
    assert rbtree.check(root) == []
    assert plain(root) is None


def test_a_root_is_black():
    root, _ = tree([1])
    assert plain(root) == leaf(1, BLACK)


def test_insert_red_uncle():
    root, _ = tree([2, 1, 3, 4])
    assert plain(root) == (2, BLACK, leaf(1, BLACK), (3, BLACK, None, leaf(4, RED)))


@pytest.mark.parametrize("order", [[3, 2, 1], [1, 2, 3]])
def test_insert_outer_grandchild(order):
    root, _ = tree(order)
    assert plain(root) == (2, BLACK, leaf(1, RED), leaf(3, RED))


@pytest.mark.parametrize("order", [[3, 1, 2], [1, 3, 2]])
def test_insert_inner_grandchild(order):
    root, _ = tree(order)
    assert plain(root) == (2, BLACK, leaf(1, RED), leaf(3, RED))


def test_next_and_prev_cross_the_root():
    _, nodes = tree([4, 2, 6, 1, 3, 5, 7])
    assert rb_next(nodes[3]) is nodes[4]
    assert rb_prev(nodes[5]) is nodes[4]
    assert rb_next(nodes[7]) is None
    assert rb_prev(nodes[1]) is None


def test_depth_of_a_full_vm_is_at_most_30():
    root, _ = tree(range(32764))

    def depth(node):
        return 0 if node is None else 1 + max(depth(node.left), depth(node.right))

    assert 15 <= depth(root.rb_node) <= 30


def keys(root):
    return [node.owner for node in in_order(root)]


class AgainstSortedList(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.root = RbRoot()
        self.nodes = {}

    @rule(key=st.integers(0, 400))
    def insert(self, key):
        if key not in self.nodes:
            self.nodes[key] = insert(self.root, key)

    @precondition(lambda self: self.nodes)
    @rule(data=st.data())
    def erase(self, data):
        key = data.draw(st.sampled_from(sorted(self.nodes)))
        rb_erase(self.nodes.pop(key), self.root)

    @precondition(lambda self: self.nodes)
    @rule(data=st.data())
    def replace(self, data):
        key = data.draw(st.sampled_from(sorted(self.nodes)))
        new = RbNode(key)
        rb_replace_node(self.nodes[key], new, self.root)
        self.nodes[key] = new

    @invariant()
    def is_valid_and_sorted(self):
        rbtree.check(self.root, owner)
        assert keys(self.root) == sorted(self.nodes)
        backwards, node = [], rb_last(self.root)
        while node is not None:
            backwards.append(node.owner)
            node = rb_prev(node)
        assert backwards == sorted(self.nodes, reverse=True)


TestAgainstSortedList = AgainstSortedList.TestCase
TestAgainstSortedList.settings = settings(
    max_examples=40, stateful_step_count=60, deadline=None, derandomize=True
)


# --- the observer ------------------------------------------------------------------------------


def test_observer_hears_of_every_elementary_change():
    root = RbRoot()
    heard = []
    root.observer = heard.append
    nodes = {key: insert(root, key) for key in [2, 1, 3, 4, 5]}
    assert heard == [
        "linked 2 at the top, red",
        "painted the root black: 2",
        "linked 1 left of 2, red",
        "linked 3 right of 2, red",
        "linked 4 right of 3, red",
        "red uncle: painted 3 and 1 black, 2 red",
        "painted the root black: 2",
        "linked 5 right of 4, red",
        "rotated left at 3",
        "painted 4 black, 3 red",
    ]
    heard.clear()
    rb_replace_node(nodes[1], RbNode("new"), root)
    rb_erase(nodes[2], root)
    assert heard == ["replaced 1 by new", "erased 2"]


# --- the validator -----------------------------------------------------------------------------


def test_check_names_red_nodes_in_a_row():
    root, nodes = tree([4, 2, 6, 1])
    nodes[2].color = RED
    with pytest.raises(InvariantError, match="red node 2 has the red left child 1"):
        rbtree.check(root)


def test_check_names_unequal_black_heights():
    root, nodes = tree([4, 2, 6])
    nodes[2].color = BLACK
    with pytest.raises(InvariantError, match="unequal black heights under 4: left 1 != right 0"):
        rbtree.check(root)


def test_check_names_wrong_order():
    root, nodes = tree([4, 2, 6])
    nodes[2].owner = 5
    with pytest.raises(InvariantError, match="5 stands before 4 but its key 5 is not smaller"):
        rbtree.check(root, owner)


def test_check_names_wrong_parent_link():
    root, nodes = tree([4, 2, 6])
    nodes[2].parent = nodes[6]
    with pytest.raises(InvariantError, match="2 is the left child of 4 but names 6"):
        rbtree.check(root)


def test_check_names_a_root_that_is_red_or_has_a_parent():
    root, nodes = tree([4, 2, 6])
    nodes[4].color = RED
    with pytest.raises(InvariantError, match="the root 4 is red"):
        rbtree.check(root)
    nodes[4].parent = nodes[2]
    with pytest.raises(InvariantError, match="the root 4 has the parent 2"):
        rbtree.check(root)
