r"""The interval tree: which of many ranges a given range touches.

A red-black tree ordered by where the intervals start, in which each node also knows
``subtree_last``: the largest end in its subtree.  A search skips a subtree whose
``subtree_last`` lies before the wanted range, and everything to the right of a node that
starts behind it.  Intervals may overlap and may be equal.  Both ends belong to them.

::

                 [20, 29] subtree_last 90
                /                        \
      [10, 90] subtree_last 90      [40, 49] subtree_last 49

Asked for 60, the search goes left, since something there ends at 90, and never right.

Kernel: include/linux/interval_tree_generic.h, lib/interval_tree.c (v6.12)
Simplified: the root does not remember its leftmost node, which in the kernel saves a descent
when the wanted range lies before everything; the answer is the same.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from kvmmu_edu.errors import InvariantError
from kvmmu_edu.lib import rbtree
from kvmmu_edu.lib.rb_erase import rb_erase
from kvmmu_edu.lib.rbtree import Augment, RbNode, RbRoot, rb_insert_color, rb_link_node


class IntervalNode(RbNode):
    """An interval ``[start, last]``, both inclusive, embedded in *owner*.

    :ivar subtree_last: the largest ``last`` of this node and all below it

    Kernel: struct interval_tree_node, include/linux/interval_tree.h (v6.12)
    """

    __slots__ = ("last", "start", "subtree_last")

    def __init__(self, owner: Any = None, start: int = 0, last: int = 0) -> None:
        """Make an interval that is in no tree."""
        super().__init__(owner)
        self.start = start
        self.last = last
        self.subtree_last = last


def _largest_end(node: Any) -> int:
    largest: int = node.last
    left, right = node.left, node.right
    if left is not None and left.subtree_last > largest:
        largest = left.subtree_last
    if right is not None and right.subtree_last > largest:
        largest = right.subtree_last
    return largest


def _propagate(node: Any, stop: Any) -> None:
    while node is not stop:
        largest = _largest_end(node)
        if node.subtree_last == largest:
            return
        node.subtree_last = largest
        node = node.parent


def _copy(old: Any, new: Any) -> None:
    new.subtree_last = old.subtree_last


def _rotate(old: Any, new: Any) -> None:
    new.subtree_last = old.subtree_last
    old.subtree_last = _largest_end(old)


_AUGMENT = Augment(_propagate, _copy, _rotate)


def interval_tree_root() -> RbRoot:
    """Return an empty interval tree.

    Ours: in the kernel the callbacks are compiled into the functions below.
    """
    return RbRoot(_AUGMENT)


def interval_tree_insert(node: IntervalNode, root: RbRoot) -> None:
    """Add *node*; its ``start`` and ``last`` must be set.

    Cost: O(log n).
    Kernel: interval_tree_insert(), lib/interval_tree.c (v6.12)
    """
    start, last = node.start, node.last
    node.subtree_last = last
    parent: Any = None
    below: Any = root.rb_node
    on_left = False
    while below is not None:
        parent = below
        if parent.subtree_last < last:  # noqa: PLR1730 - max() would double the time
            parent.subtree_last = last
        on_left = start < parent.start
        below = parent.left if on_left else parent.right
    rb_link_node(node, parent, root, on_left=on_left)
    rb_insert_color(node, root)


def interval_tree_remove(node: IntervalNode, root: RbRoot) -> None:
    """Take *node* out.

    Cost: O(log n).
    Kernel: interval_tree_remove(), lib/interval_tree.c (v6.12)
    """
    rb_erase(node, root)


def interval_tree_iter_first(root: RbRoot, start: int, last: int) -> IntervalNode | None:
    """Return the interval with the smallest start that touches ``[start, last]``, or None.

    Cost: O(log n).
    Kernel: interval_tree_iter_first(), lib/interval_tree.c (v6.12)
    """
    node: Any = root.rb_node
    if node is None or node.subtree_last < start:
        return None
    return _first_in_subtree(node, start, last)


def _first_in_subtree(node: Any, start: int, last: int) -> IntervalNode | None:
    """Search below *node*, where something is known to end at or behind *start*."""
    while True:
        left = node.left
        if left is not None and left.subtree_last >= start:
            # whatever ends late enough there starts before this node: the answer, if there
            # is one, is on the left
            node = left
            continue
        if node.start > last:
            return None
        if node.last >= start:
            return node  # type: ignore[no-any-return]
        node = node.right
        if node is None or node.subtree_last < start:
            return None


def interval_tree_iter_next(node: IntervalNode, start: int, last: int) -> IntervalNode | None:
    """Return the next interval after *node* that touches ``[start, last]``, or None.

    Cost: O(log n).
    Kernel: interval_tree_iter_next(), lib/interval_tree.c (v6.12)
    """
    here: Any = node
    while True:
        right = here.right
        if right is not None and right.subtree_last >= start:
            return _first_in_subtree(right, start, last)
        # up, until we come from a left child: that parent starts next
        below, here = here, here.parent
        while here is not None and here.right is below:
            below, here = here, here.parent
        if here is None or here.start > last:
            return None
        if here.last >= start:
            return here  # type: ignore[no-any-return]


def for_each_interval(root: RbRoot, start: int, last: int) -> Iterator[IntervalNode]:
    """Yield the intervals that touch ``[start, last]``, by rising start.

    Ours.
    Cost: O(log n + k log n) for k answers.
    """
    node = interval_tree_iter_first(root, start, last)
    while node is not None:
        yield node
        node = interval_tree_iter_next(node, start, last)


def check(root: RbRoot) -> list[IntervalNode]:
    """Raise unless the tree is a valid red-black tree with right values of ``subtree_last``.

    :returns: the intervals by rising start

    :raises InvariantError: names the node and the two values that differ

    Ours.
    """
    nodes: list[IntervalNode] = rbtree.check(root)
    for node in nodes:
        if node.start > node.last:
            raise InvariantError(f"{node} starts at {node.start} but ends at {node.last}")
        largest = _largest_end(node)
        if node.subtree_last != largest:
            known = f"subtree_last of {node} is {node.subtree_last}"
            raise InvariantError(f"{known} but the largest end below it is {largest}")
    for before, node in pairwise(nodes):
        if before.start > node.start:
            starts = f"{before.start} > {node.start}"
            raise InvariantError(f"{before} stands before {node} but starts later: {starts}")
    return nodes
