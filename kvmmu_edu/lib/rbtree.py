r"""The red-black tree: a binary search tree that cannot become a list.

Every node is red or black.  Four rules keep the tree shallow:

1. the root is black;
2. a red node has no red child;
3. every way from a node down to a missing child meets the same number of black nodes (the
   *black height* of the node);
4. smaller keys are on the left, larger ones on the right.

By 2 and 3 the longest way down is at most twice the shortest, so *n* nodes are at most
``2 * log2(n + 1)`` deep: 30 for the 32,764 memory slots of a full VM.

All restructuring is made of one move, which we call a *lift*: a node rises above its parent.
The keys stay in order::

          p                n
         / \    lift n    / \
        n   C  ------->  A   p        rotate right at p  (and the mirror image:
       / \    <-------      / \       rotate left at p, when n is a right child)
      A   B    lift p      B   C

The tree does not know keys.  Who uses it descends by itself, links a leaf with
:func:`rb_link_node` and calls :func:`rb_insert_color`, as in the kernel: so a search compares
what it likes, without a callback.  ``rb_erase.py`` has the way out.  Nodes are embedded in
what they order; ``owner`` leads back, where the kernel writes ``container_of``.

A tree can carry a value about each subtree (see :class:`Augment` and ``interval_tree.py``),
and an ``observer`` that is told every elementary change.

Kernel: lib/rbtree.c, include/linux/rbtree.h (v6.12)
Simplified: colour and parent are two fields, not one word; no lockless readers.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple, TypeAlias

from kvmmu_edu.errors import InvariantError, ensure

RED: Final = 0
BLACK: Final = 1

#: nested ``(value, colour, left, right)``, or None where there is no node
Shape: TypeAlias = tuple[Any, int, "Shape", "Shape"] | None


class RbNode:
    """A link in a tree, embedded in *owner*.

    Kernel: struct rb_node, include/linux/rbtree_types.h (v6.12)
    """

    __slots__ = ("color", "left", "owner", "parent", "right")

    def __init__(self, owner: Any = None) -> None:
        """Make a node that is in no tree."""
        self.owner = owner
        self.parent: RbNode | None = None
        self.left: RbNode | None = None
        self.right: RbNode | None = None
        self.color = RED

    def __str__(self) -> str:
        """Return what the node belongs to."""
        return str(self.owner)


class Augment(NamedTuple):
    """How a tree keeps a value about each subtree true while nodes move.

    *propagate(node, stop)* computes the value anew from *node* upward until it does not
    change or *stop* is reached; *copy(old, new)* gives *new* the value of *old*, whose place
    it takes; *rotate(old, new)* does so after *new* was lifted over *old*, and computes that
    of *old* anew.

    Kernel: struct rb_augment_callbacks, include/linux/rbtree_augmented.h (v6.12)
    """

    propagate: Callable[[Any, Any], None]
    copy: Callable[[Any, Any], None]
    rotate: Callable[[Any, Any], None]


class RbRoot:
    """A tree.

    :ivar rb_node: the node at the top, or None
    :ivar augment: what keeps the values about subtrees, or None
    :ivar observer: is told in words of each elementary change, or None

    Kernel: struct rb_root, include/linux/rbtree_types.h (v6.12)
    """

    __slots__ = ("augment", "observer", "rb_node")

    def __init__(self, augment: Augment | None = None) -> None:
        """Make an empty tree."""
        self.rb_node: RbNode | None = None
        self.augment = augment
        self.observer: Callable[[str], None] | None = None


# --- insertion -------------------------------------------------------------------------------


def rb_link_node(node: RbNode, parent: RbNode | None, root: RbRoot, *, on_left: bool) -> None:
    """Hang *node* as a red leaf under *parent*; None as parent means that *root* is empty.

    Red, because one more black node would break rule 3 everywhere above; a red one can break
    rule 2 at one place only.  Afterwards call :func:`rb_insert_color`.

    Kernel: rb_link_node(), include/linux/rbtree.h (v6.12)
    """
    node.parent = parent
    node.left = node.right = None
    node.color = RED
    if parent is None:
        root.rb_node = node
    elif on_left:
        parent.left = node
    else:
        parent.right = node
    if root.observer is not None:
        side = "at the top" if parent is None else f"{'left' if on_left else 'right'} of {parent}"
        root.observer(f"linked {node} {side}, red")


def rb_insert_color(node: RbNode, root: RbRoot) -> None:
    r"""Restore the rules after the red leaf *node* was linked.

    Only rule 2 can be broken, between a red node and its red parent.  Capital letters are
    black; left and right may be exchanged:

    *Nothing above, or a black parent*: a root turns black, and nothing is broken.

    *Red uncle*: parent and uncle take the black from the grandparent.  Black heights stay;
    the grandparent is red now and the question is asked again, two levels higher::

           G             g  <- next
          / \           / \
         u   p   -->   U   P
              \             \
               n             n

    *Outer grandchild*, black uncle: lift the parent, exchange its colour with the
    grandparent's.  The top is black as before, so nothing above can be broken::

           G                 P
          / \               / \
         U   p     -->     g   n
              \           /
               n         U

    *Inner grandchild*, black uncle: lift the node over its parent, which makes the parent
    the outer grandchild; then as before, with the roles of node and parent exchanged::

           G             G                 N
          / \           / \               / \
         U   p   -->   U   n     -->     g   p
            /               \           /
           n                 p         U

    Cost: O(log n) recolourings, at most two lifts.
    Kernel: rb_insert_color(); __rb_insert(), lib/rbtree.c (v6.12)
    """
    while True:
        parent = node.parent
        if parent is None:
            node.color = BLACK
            tell(root, "painted the root black: {}", node)
            return
        if parent.color == BLACK:
            return
        grand = parent.parent
        assert grand is not None  # rule 1: a red parent is not the root
        uncle = grand.right if parent is grand.left else grand.left
        if uncle is None or uncle.color == BLACK:
            break
        parent.color = uncle.color = BLACK
        grand.color = RED
        tell(root, "red uncle: painted {} and {} black, {} red", parent, uncle, grand)
        node = grand

    if (node is parent.left) == (parent is grand.left):
        top = parent
    else:
        lift(node, root)
        top = node
    lift(top, root)
    top.color = BLACK
    grand.color = RED
    tell(root, "painted {} black, {} red", top, grand)


# --- the moves that changes are made of -----------------------------------------------------


def put_in_place_of(old: RbNode, new: RbNode | None, root: RbRoot) -> None:
    """Make *new* the child that *old* is to its parent.

    Kernel: __rb_change_child(), include/linux/rbtree_augmented.h (v6.12)
    """
    parent = old.parent
    if parent is None:
        root.rb_node = new
    elif parent.left is old:
        parent.left = new
    else:
        parent.right = new
    if new is not None:
        new.parent = parent


def lift(node: RbNode, root: RbRoot) -> None:
    """Raise *node* above its parent; see the drawing at the top of this module.

    Ours: the kernel writes each rotation out where it happens.
    """
    parent = node.parent
    assert parent is not None
    above = parent.parent
    if parent.left is node:
        inner = parent.left = node.right
        node.right = parent
    else:
        inner = parent.right = node.left
        node.left = parent
    if inner is not None:
        inner.parent = parent
    parent.parent = node
    node.parent = above
    if above is None:
        root.rb_node = node
    elif above.left is parent:
        above.left = node
    else:
        above.right = node
    if root.augment is not None:
        root.augment.rotate(parent, node)
    if root.observer is not None:
        root.observer(f"rotated {'right' if node.right is parent else 'left'} at {parent}")


def tell(root: RbRoot, text: str, *nodes: RbNode) -> None:
    """Tell the observer of *root*, if it has one.

    Ours.
    """
    if root.observer is not None:
        root.observer(text.format(*nodes))


# --- walking ---------------------------------------------------------------------------------


def rb_first(root: RbRoot) -> RbNode | None:
    """Return the node with the smallest key, or None.

    Kernel: rb_first(), lib/rbtree.c (v6.12)
    """
    node = root.rb_node
    if node is not None:
        while node.left is not None:
            node = node.left
    return node


def rb_last(root: RbRoot) -> RbNode | None:
    """Return the node with the largest key, or None.

    Kernel: rb_last(), lib/rbtree.c (v6.12)
    """
    node = root.rb_node
    if node is not None:
        while node.right is not None:
            node = node.right
    return node


def rb_next(node: RbNode) -> RbNode | None:
    """Return the node with the next larger key, or None.

    Kernel: rb_next(), lib/rbtree.c (v6.12)
    """
    if node.right is not None:
        node = node.right
        while node.left is not None:
            node = node.left
        return node
    parent = node.parent
    while parent is not None and node is parent.right:
        node, parent = parent, parent.parent
    return parent


def rb_prev(node: RbNode) -> RbNode | None:
    """Return the node with the next smaller key, or None.

    Kernel: rb_prev(), lib/rbtree.c (v6.12)
    """
    if node.left is not None:
        node = node.left
        while node.right is not None:
            node = node.right
        return node
    parent = node.parent
    while parent is not None and node is parent.left:
        node, parent = parent, parent.parent
    return parent


def in_order(root: RbRoot) -> Iterator[RbNode]:
    """Yield the nodes by rising key; the tree must not change meanwhile.

    Ours.
    """
    node = rb_first(root)
    while node is not None:
        yield node
        node = rb_next(node)


# --- the validator ---------------------------------------------------------------------------


def check(root: RbRoot, key: Callable[[Any], Any] | None = None) -> list[Any]:
    """Raise unless the four rules hold and all parent links are right; return the nodes in order.

    :param key: what the tree is ordered by, as a function of a node; equal keys are refused
    :raises InvariantError: names two nodes and what is wrong between them

    Ours.
    """
    top = root.rb_node
    if top is None:
        return []
    ensure(top.parent is None, f"the root {top} has the parent {top.parent}")
    ensure(top.color == BLACK, f"the root {top} is red")
    nodes: list[RbNode] = []
    _check_subtree(top, nodes)
    if key is not None:
        keys = [key(node) for node in nodes]
        for before, node, low, high in zip(nodes, nodes[1:], keys, keys[1:], strict=False):
            if not low < high:
                msg = f"{before} stands before {node} but its key {low} is not smaller than {high}"
                raise InvariantError(msg)
    return nodes


def _check_subtree(node: RbNode, nodes: list[RbNode]) -> int:
    """Check what hangs below *node*; return its black height, add its nodes in order."""
    left, right = node.left, node.right
    left_height = right_height = 0
    if left is not None:
        if left.parent is not node or node.color == left.color == RED:
            raise InvariantError(_what_is_wrong(node, "left", left))
        left_height = _check_subtree(left, nodes)
    nodes.append(node)
    if right is not None:
        if right.parent is not node or node.color == right.color == RED:
            raise InvariantError(_what_is_wrong(node, "right", right))
        right_height = _check_subtree(right, nodes)
    if left_height != right_height:
        msg = f"unequal black heights under {node}: left {left_height} != right {right_height}"
        raise InvariantError(msg)
    return left_height + (node.color == BLACK)


def _what_is_wrong(node: RbNode, side: str, child: RbNode) -> str:
    if child.parent is not node:
        return f"{child} is the {side} child of {node} but names {child.parent} as its parent"
    return f"red node {node} has the red {side} child {child}"


def shape(root: RbRoot, value: Callable[[Any], Any]) -> Shape:
    """Return the tree as nested tuples, with *value* of each node's owner.

    Ours.
    """

    def subtree(node: RbNode | None) -> Shape:
        if node is None:
            return None
        return (value(node.owner), node.color, subtree(node.left), subtree(node.right))

    return subtree(root.rb_node)
