"""A hash table of fixed size: an array of short lists.

The number of buckets never changes, so a table costs the same for one entry as for
thousands, and the lists grow with what is put in.  Entries are linked through a node that is
embedded in them; ``owner`` leads back.

Kernel: include/linux/hashtable.h (v6.12)
"""

from collections.abc import Iterator
from typing import Any, Final

from kvmmu_edu.errors import InvariantError

#: 2**32 divided by the golden ratio: spreads consecutive keys over the buckets
GOLDEN_RATIO_32: Final = 0x61C88647


def hash_32(value: int, bits: int) -> int:
    """Return the bucket, of ``2**bits``, of a 32-bit *value*.

    >>> [hash_32(key, 7) for key in range(4)]
    [0, 48, 97, 18]

    Kernel: hash_32(), include/linux/hash.h (v6.12)
    """
    return ((value * GOLDEN_RATIO_32) & 0xFFFFFFFF) >> (32 - bits)


class HlistNode:
    """A link in a bucket, embedded in *owner*.

    Kernel: struct hlist_node, include/linux/types.h (v6.12)
    Simplified: it knows its key, its bucket and the node before, where the kernel has one
    pointer to whatever points to it and looks for the key in the owner.
    """

    __slots__ = ("bucket", "key", "next", "owner", "prev")

    def __init__(self, owner: Any = None) -> None:
        """Make a node that is in no table."""
        self.owner = owner
        self.next: HlistNode | None = None
        self.prev: HlistNode | None = None
        self.bucket = -1
        self.key = -1


class HashTable:
    """A table of ``2**bits`` buckets.

    Kernel: DEFINE_HASHTABLE, include/linux/hashtable.h (v6.12)
    """

    __slots__ = ("bits", "heads")

    def __init__(self, bits: int) -> None:
        """Make an empty table."""
        self.bits = bits
        self.heads: list[HlistNode | None] = [None] * (1 << bits)

    def hash_add(self, node: HlistNode, key: int) -> None:
        """Put *node* at the front of the bucket of *key*.

        Kernel: hash_add, include/linux/hashtable.h (v6.12)
        """
        bucket = hash_32(key, self.bits)
        head = self.heads[bucket]
        node.bucket = bucket
        node.key = key
        node.next, node.prev = head, None
        if head is not None:
            head.prev = node
        self.heads[bucket] = node

    def hash_del(self, node: HlistNode) -> None:
        """Take *node* out of its bucket.

        Kernel: hash_del(), include/linux/hashtable.h (v6.12)
        """
        if node.prev is None:
            self.heads[node.bucket] = node.next
        else:
            node.prev.next = node.next
        if node.next is not None:
            node.next.prev = node.prev
        node.next = node.prev = None
        node.bucket = -1

    def hash_for_each(self) -> Iterator[Any]:
        """Yield the owners of all nodes, bucket by bucket.

        Kernel: hash_for_each, include/linux/hashtable.h (v6.12)
        """
        for head in self.heads:
            node = head
            while node is not None:
                owner, node = node.owner, node.next
                yield owner

    def check(self) -> list[Any]:
        """Raise unless the links of each bucket agree with each other; return all owners."""
        owners = []
        bits = self.bits
        for bucket, head in enumerate(self.heads):
            node, before = head, None
            while node is not None:
                if node.prev is not before:
                    raise InvariantError(
                        f"bucket {bucket}: {node.owner} follows {before and before.owner} but"
                        f" names {node.prev and node.prev.owner} as the one before"
                    )
                if not node.bucket == bucket == hash_32(node.key, bits):
                    raise InvariantError(
                        f"{node.owner} with key {node.key} is in bucket {bucket} but names bucket"
                        f" {node.bucket}; the key belongs in {hash_32(node.key, bits)}"
                    )
                owners.append(node.owner)
                node, before = node.next, node
        return owners
