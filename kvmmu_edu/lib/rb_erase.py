"""How a node leaves a red-black tree, or gives its place to another.

The rules and the *lift*, of which everything is made, are in ``rbtree.py``.

Kernel: lib/rbtree.c, include/linux/rbtree_augmented.h (v6.12)
"""

from kvmmu_edu.lib.rbtree import BLACK, RED, RbNode, RbRoot, lift, put_in_place_of, tell


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
        put_in_place_of(node, child, root)
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
        tell(root, "painted {} black", child)
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
    put_in_place_of(node, heir, root)
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
            lift(sibling, root)
            sibling.color = BLACK
            parent.color = RED
            tell(root, "red sibling: painted {} black, {} red", sibling, parent)
            sibling = parent.right if on_left else parent.left
            assert sibling is not None
        near, far = (sibling.left, sibling.right) if on_left else (sibling.right, sibling.left)
        if far is not None and far.color == RED:
            lift(sibling, root)
            sibling.color, parent.color, far.color = parent.color, BLACK, BLACK
            tell(root, "red far nephew: painted {} and {} black", parent, far)
            return
        if near is not None and near.color == RED:
            lift(near, root)
            lift(near, root)
            near.color, parent.color = parent.color, BLACK
            tell(root, "red near nephew: painted {} black", parent)
            return
        sibling.color = RED
        tell(root, "no red nephew: painted {} red", sibling)
        if parent.color == RED:
            parent.color = BLACK
            tell(root, "painted {} black", parent)
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
    put_in_place_of(victim, new, root)
    if root.observer is not None:
        root.observer(f"replaced {victim} by {new}")
