"""Trees of plain numbers, for the tests of the red-black tree."""

from kvmmu_edu.lib.rbtree import RbNode, RbRoot, rb_insert_color, rb_link_node, shape


def insert(root, key):
    node, parent, below, on_left = RbNode(key), None, root.rb_node, False
    while below is not None:
        parent = below
        on_left = key < below.owner
        below = below.left if on_left else below.right
    rb_link_node(node, parent, root, on_left=on_left)
    rb_insert_color(node, root)
    return node


def tree(keys):
    root = RbRoot()
    return root, {key: insert(root, key) for key in keys}


def owner(node):
    return node.owner


def plain(root):
    return shape(root, lambda key: key)


def leaf(key, color):
    return (key, color, None, None)
