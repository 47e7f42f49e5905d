"""Removal from the red-black tree, case by case and at random."""

import random

from kvmmu_edu.lib import rbtree
from kvmmu_edu.lib.rb_erase import rb_erase, rb_replace_node
from kvmmu_edu.lib.rbtree import BLACK, RED, RbNode
from tests.lib.trees import leaf, owner, plain, tree


def test_erase_leaf_under_red_sibling():
    root, nodes = tree([2, 1, 4, 3, 5, 6])
    assert nodes[4].color == RED
    rb_erase(nodes[1], root)
    rbtree.check(root, owner)
    assert plain(root) == (4, BLACK, (2, BLACK, None, leaf(3, RED)), (5, BLACK, None, leaf(6, RED)))


def test_erase_with_red_far_nephew():
    root, nodes = tree([2, 1, 3, 4])
    rb_erase(nodes[1], root)
    assert plain(root) == (3, BLACK, leaf(2, BLACK), leaf(4, BLACK))


def test_erase_with_red_near_nephew():
    root, nodes = tree([2, 1, 4, 3])
    rb_erase(nodes[1], root)
    assert plain(root) == (3, BLACK, leaf(2, BLACK), leaf(4, BLACK))


def test_erase_without_red_nephew():
    root, nodes = tree([2, 1, 3, 4])
    rb_erase(nodes[4], root)
    rb_erase(nodes[3], root)
    assert plain(root) == (2, BLACK, leaf(1, RED), None)


def test_erase_node_with_two_children_keeps_colour_of_the_place():
    root, nodes = tree([4, 2, 6, 1, 3, 5, 7])
    rb_erase(nodes[4], root)
    assert plain(root)[:2] == (5, BLACK)
    rbtree.check(root, owner)


def test_replace_keeps_place_and_colour():
    root, nodes = tree([4, 2, 6])
    rb_replace_node(nodes[2], RbNode(2.5), root)
    assert plain(root) == (4, BLACK, leaf(2.5, RED), leaf(6, RED))
    rb_replace_node(nodes[4], RbNode(4.5), root)
    assert plain(root) == (4.5, BLACK, leaf(2.5, RED), leaf(6, RED))
    rbtree.check(root, owner)


def test_emptying_a_large_tree_in_random_order():
    rng = random.Random(7)
    order = list(range(3000))
    rng.shuffle(order)
    root, nodes = tree(order)
    rng.shuffle(order)
    for count, key in enumerate(order):
        rb_erase(nodes[key], root)
        if count % 100 == 0:
            rbtree.check(root, owner)
    assert root.rb_node is None


def test_observer_hears_each_case_of_removal():
    root, nodes = tree([2, 1, 4, 3, 5, 6])
    heard = []
    root.observer = heard.append
    rb_erase(nodes[1], root)
    assert heard == [
        "erased 1",
        "rotated left at 2",
        "red sibling: painted 4 black, 2 red",
        "no red nephew: painted 3 red",
        "painted 2 black",
    ]
    root, nodes = tree([2, 1, 3, 4])
    root.observer = heard.append
    heard.clear()
    rb_erase(nodes[1], root)
    assert heard == ["erased 1", "rotated left at 2", "red far nephew: painted 2 and 4 black"]
    root, nodes = tree([2, 1, 4, 3])
    root.observer = heard.append
    heard.clear()
    rb_erase(nodes[1], root)
    assert heard == [
        "erased 1",
        "rotated right at 4",
        "rotated left at 2",
        "red near nephew: painted 2 black",
    ]
