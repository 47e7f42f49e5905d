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
what it likes, without a callback.  Nodes are embedded in what they order; ``owner`` leads
back, where the kernel writes ``container_of``.

A tree can carry a value about each subtree (see :class:`Augment` and ``interval_tree.py``),
and an ``observer`` that is told every elementary change.

Kernel: lib/rbtree.c, include/linux/rbtree.h (v6.12)
Simplified: colour and parent are two fields, not one word; no lockless readers.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple, TypeAlias

from kvmmu_edu.errors import ensure

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
    black:

    *Nothing above, or a black parent*: a root turns black, and nothing is broken.

    *Red uncle*: parent and uncle take the black from the grandparent.  Black heights stay;
    the grandparent is red now and the question is asked again, two levels higher::

             G             g  <- next
            / \           / \
           p   u   -->   P   U
          /             /
         n             n

    *Outer grandchild*, black uncle: lift the parent, exchange its colour with the
    grandparent's.  The top is black as before, so nothing above can be broken::

             G             P
            / \           / \
           p   U   -->   n   g
          /                   \
         n                     U

    *Inner grandchild*, black uncle: lift the node over its parent, which makes the parent
    the outer grandchild; then as before, with the roles of node and parent exchanged::

           G             G             N
          / \           / \           / \
         p   U   -->   n   U   -->   p   g
          \           /                   \
           n         p                     U

    Cost: O(log n) recolourings, at most two lifts.
    Kernel: rb_insert_color(); __rb_insert(), lib/rbtree.c (v6.12)
    """
    while True:
        parent = node.parent
        if parent is None:
            node.color = BLACK
            _tell(root, "painted the root black: {}", node)
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
        _tell(root, "red uncle: painted {} and {} black, {} red", parent, uncle, grand)
        node = grand

    if (node is parent.left) == (parent is grand.left):
        top = parent
    else:
        _lift(node, root)
        top = node
    _lift(top, root)
    top.color = BLACK
    grand.color = RED
    _tell(root, "painted {} black, {} red", top, grand)


# --- removal ---------------------------------------------------------------------------------


def rb_erase(node: RbNode, root: RbRoot) -> None:
    """Take *node* out of the tree.

    *At most one child*: that child, if any, takes the place.  A single child is always red,
    for on its other side the black height is 0; it turns black and pays for what was lost.

    *Two children*: the next larger node has no left child, so it can be taken from where it
    is, as above, and then takes the place *and the colour* of *node*.

    In both cases one node disappears from some place.  If it was red, no black height
    changed.  If it was black and left no child there, :func:`_repay_black` is called.

    Cost: O(log n) recolourings, at most three lifts.
    Kernel: rb_erase(), lib/rbtree.c; __rb_erase_augmented(), include/linux/rbtree_augmented.h
    (v6.12)
    """
    augment = root.augment
    if node.left is None or node.right is None:
        child = node.left if node.right is None else node.right
        below = node.parent  # where the node went missing
        lost = node.color
        _put_in_place_of(node, child, root)
        if augment is not None and below is not None:
            augment.propagate(below, None)
    else:
        heir = node.right
        while heir.left is not None:
            heir = heir.left
        child, below, lost = _take_heir(node, heir, root)
    if root.observer is not None:
        root.observer(f"erased {node}")
    if child is not None:
        child.color = BLACK
        _tell(root, "painted {} black", child)
    elif lost == BLACK and below is not None:
        _repay_black(below, root)


def _take_heir(
    node: RbNode, heir: RbNode, root: RbRoot
) -> tuple[RbNode | None, RbNode | None, int]:
    """Move *heir*, the next larger node, to the place of *node*.

    Return the child that *heir* left, that child's parent, and the colour that went missing.
    """
    child = heir.right
    lost = heir.color
    assert node.left is not None
    if heir is node.right:
        below = heir
    else:
        assert heir.parent is not None
        below = heir.parent
        below.left = child
        if child is not None:
            child.parent = below
        heir.right = node.right
        assert heir.right is not None
        heir.right.parent = heir
    heir.left = node.left
    heir.left.parent = heir
    heir.color = node.color
    _put_in_place_of(node, heir, root)
    augment = root.augment
    if augment is not None:
        augment.copy(node, heir)
        augment.propagate(below, heir)
        augment.propagate(heir, None)
    return child, below, lost


def _repay_black(parent: RbNode, root: RbRoot) -> None:
    r"""Restore rule 3 where one side of *parent* lost a black node.

    ``-`` marks the short side; it is on the left in the drawings, and mirrored otherwise.  A
    letter in brackets has any colour.  There is always a sibling ``S``, for its side was as
    high as the short one before.

    *Red sibling*: lift it.  The short side gets a black sibling; go on with that::

          P             S
         / \           / \
        -   s   -->   p   F
           / \       / \
          N   F     -   N

    *Red far nephew*: lift the sibling; it takes the colour of the parent, and both its
    children are black.  The short side got one black more.  Done::

         (p)           (s)
         / \           / \
        -   S   -->   P   F
           / \       / \
         (n)  f     - (n)

    *Red near nephew*: lift it twice, which brings it to the top between two black nodes.
    The short side got one black more.  Done::

         (p)           (n)
         / \           / \
        -   S   -->   P   S
           / \       /     \
          n   F     -       F

    *No red nephew*: the sibling turns red, so both sides are short by one.  A red parent
    turns black and pays; under a black one the whole subtree is short, and the question is
    asked again one level higher.

    Kernel: ____rb_erase_color(), lib/rbtree.c (v6.12)
    """
    short: RbNode | None = None
    while True:
        on_left = parent.left is short
        sibling = parent.right if on_left else parent.left
        assert sibling is not None
        if sibling.color == RED:
            _lift(sibling, root)
            sibling.color = BLACK
            parent.color = RED
            _tell(root, "red sibling: painted {} black, {} red", sibling, parent)
            sibling = parent.right if on_left else parent.left
            assert sibling is not None
        near, far = (sibling.left, sibling.right) if on_left else (sibling.right, sibling.left)
        if far is not None and far.color == RED:
            _lift(sibling, root)
            sibling.color, parent.color, far.color = parent.color, BLACK, BLACK
            _tell(root, "red far nephew: painted {} and {} black", parent, far)
            return
        if near is not None and near.color == RED:
            _lift(near, root)
            _lift(near, root)
            near.color, parent.color = parent.color, BLACK
            _tell(root, "red near nephew: painted {} black", parent)
            return
        sibling.color = RED
        _tell(root, "no red nephew: painted {} red", sibling)
        if parent.color == RED:
            parent.color = BLACK
            _tell(root, "painted {} black", parent)
            return
        if parent.parent is None:
            return
        short, parent = parent, parent.parent


def rb_replace_node(victim: RbNode, new: RbNode, root: RbRoot) -> None:
    """Let *new*, which has the same key, take the place of *victim*.

    Cost: O(1): nothing is compared and nothing is restructured.
    Kernel: rb_replace_node(), lib/rbtree.c (v6.12)
    """
    new.left = victim.left
    new.right = victim.right
    new.color = victim.color
    if new.left is not None:
        new.left.parent = new
    if new.right is not None:
        new.right.parent = new
    _put_in_place_of(victim, new, root)
    if root.observer is not None:
        root.observer(f"replaced {victim} by {new}")


# --- the moves that the above is made of -----------------------------------------------------


def _put_in_place_of(old: RbNode, new: RbNode | None, root: RbRoot) -> None:
    """Make *new* the child that *old* is to its parent."""
    parent = old.parent
    if parent is None:
        root.rb_node = new
    elif parent.left is old:
        parent.left = new
    else:
        parent.right = new
    if new is not None:
        new.parent = parent


def _lift(node: RbNode, root: RbRoot) -> None:
    """Raise *node* above its parent; see the drawing at the top of this module."""
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


def _tell(root: RbRoot, text: str, *nodes: RbNode) -> None:
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


def check(root: RbRoot, key: Callable[[Any], Any] | None = None) -> int:
    """Raise unless the four rules hold and all parent links are right; return the black height.

    :param key: what the tree is ordered by, as a function of a node; equal keys are refused
    :raises InvariantError: names two nodes and what is wrong between them

    Ours.
    """
    top = root.rb_node
    if top is None:
        return 0
    ensure(top.parent is None, f"the root {top} has the parent {top.parent}")
    ensure(top.color == BLACK, f"the root {top} is red")
    height = _check_subtree(top)
    if key is not None:
        before: RbNode | None = None
        for node in in_order(root):
            if before is not None:
                ensure(
                    key(before) < key(node),
                    f"{before} stands before {node} but its key {key(before)} is not smaller"
                    f" than {key(node)}",
                )
            before = node
    return height


def _check_subtree(node: RbNode) -> int:
    heights = []
    for side, child in (("left", node.left), ("right", node.right)):
        if child is None:
            heights.append(0)
            continue
        ensure(
            child.parent is node,
            f"{child} is the {side} child of {node} but names {child.parent} as its parent",
        )
        ensure(
            node.color == BLACK or child.color == BLACK,
            f"red node {node} has the red {side} child {child}",
        )
        heights.append(_check_subtree(child))
    left, right = heights
    ensure(left == right, f"unequal black heights under {node}: left {left} != right {right}")
    return left + (node.color == BLACK)


def shape(root: RbRoot, value: Callable[[Any], Any]) -> Shape:
    """Return the tree as nested tuples, with *value* of each node's owner.

    Ours.
    """

    def subtree(node: RbNode | None) -> Shape:
        if node is None:
            return None
        return (value(node.owner), node.color, subtree(node.left), subtree(node.right))

    return subtree(root.rb_node)
