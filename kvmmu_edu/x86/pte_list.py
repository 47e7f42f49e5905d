"""Lists of pointers to entries: who maps this page, who points to this table.

A head is one word.  Nearly all lists have one member, so the word is that member itself;
only a second one needs a descriptor, which has room for 14::

    nothing      0
    one entry    the pointer
    more         a descriptor --more--> a descriptor --more--> ...

A list that was longer once keeps its descriptor until it is empty.

Kernel: arch/x86/kvm/mmu/mmu.c (v6.12)
In v6.1: a new descriptor is put at the end of the list, which must be walked for that; since
    then it becomes the head, and all others are full.
"""

from collections.abc import Iterator
from typing import Final, TypeAlias

from kvmmu_edu.errors import KernelBug, ensure

#: an entry: table * 512 + column, as a pointer to it says both; 0 is no entry
Sptep: TypeAlias = int

PTE_LIST_EXT: Final = 14
#: bytes of a descriptor: the next one, the counts, and 14 pointers
SIZE_OF_PTE_LIST_DESC: Final = 8 + 8 + 8 * PTE_LIST_EXT


class PteListDesc:
    """Room for 14 entries.

    :ivar more: the next descriptor
    :ivar tail_count: how many entries all following descriptors have (6.12)
    :ivar sptes: the entries; as many as the kernel's spte_count says

    Kernel: struct pte_list_desc, arch/x86/kvm/mmu/mmu.c (v6.12)
    In v6.1: there is no tail_count.
    """

    __slots__ = ("more", "sptes", "tail_count")

    def __init__(self, sptes: list[Sptep]) -> None:
        """Make a descriptor that nothing follows."""
        self.more: PteListDesc | None = None
        self.tail_count = 0
        self.sptes = sptes


class RmapHead:
    """The word that a list begins with.

    :ivar val: 0, an entry, or a descriptor

    Kernel: struct kvm_rmap_head, arch/x86/include/asm/kvm_host.h (v6.12)
    """

    __slots__ = ("val",)

    def __init__(self) -> None:
        """Make an empty list."""
        self.val: Sptep | PteListDesc = 0

    def descriptors(self) -> list[PteListDesc]:
        """Return the descriptors, the first one first."""
        found = []
        desc = self.val if isinstance(self.val, PteListDesc) else None
        while desc is not None:
            found.append(desc)
            desc = desc.more
        return found

    def check(self, *, is_6_1: bool) -> None:
        """Raise unless all descriptors but the head (6.12) are full, and none is empty."""
        descs = self.descriptors()
        for i, desc in enumerate(descs):
            ensure(
                0 < len(desc.sptes) <= PTE_LIST_EXT,
                f"descriptor {i} of a list has {len(desc.sptes)} of {PTE_LIST_EXT} entries",
            )
            if is_6_1:
                continue
            behind = sum(len(tail.sptes) for tail in descs[i + 1 :])
            ensure(
                desc.tail_count == behind,
                f"descriptor {i} says that {desc.tail_count} entries follow, but {behind} do",
            )
            full = i == 0 or len(desc.sptes) == PTE_LIST_EXT
            ensure(full, f"descriptor {i} is not the head but has {len(desc.sptes)} entries")


def pte_list_add(head: RmapHead, sptep: Sptep, *, is_6_1: bool) -> int:
    """Put an entry in a list; return how many were there before.

    Kernel: pte_list_add(), arch/x86/kvm/mmu/mmu.c (v6.12)
    Simplified: descriptors are not taken from a cache that was filled before the lock was taken.
    """
    if not isinstance(head.val, PteListDesc):
        count = int(head.val != 0)
        head.val = PteListDesc([head.val, sptep]) if count else sptep
        return count
    count = pte_list_count(head)
    if is_6_1:
        _room_at_the_end(head.val).sptes.append(sptep)
    elif len(head.val.sptes) < PTE_LIST_EXT:
        head.val.sptes.append(sptep)
    else:
        desc = PteListDesc([sptep])
        desc.more, desc.tail_count = head.val, count
        head.val = desc
    return count


def _room_at_the_end(desc: PteListDesc) -> PteListDesc:
    """Return the first descriptor that has room, a new last one if none has."""
    while len(desc.sptes) == PTE_LIST_EXT:
        if desc.more is None:
            desc.more = PteListDesc([])
        desc = desc.more
    return desc


def pte_list_remove(head: RmapHead, sptep: Sptep, *, is_6_1: bool) -> None:
    """Take an entry out of a list; the last one of a descriptor fills the gap.

    :raises KernelBug: it is not there
    Kernel: pte_list_remove(), arch/x86/kvm/mmu/mmu.c; pte_list_desc_remove_entry(),
        arch/x86/kvm/mmu/mmu.c (v6.12)
    In v6.1: the gap is filled from the same descriptor, not from the head.
    """
    if not isinstance(head.val, PteListDesc):
        if head.val != sptep or not sptep:
            raise KernelBug(f"entry {sptep:#x} is not in its list, which has {head.val:#x}")
        head.val = 0
        return
    before: PteListDesc | None = None
    for desc in head.descriptors():
        if sptep in desc.sptes:
            donor = desc if is_6_1 else head.val
            desc.sptes[desc.sptes.index(sptep)] = donor.sptes[-1]
            donor.sptes.pop()
            if not donor.sptes:
                _unlink(head, before if is_6_1 else None, donor)
            return
        before = desc
    raise KernelBug(f"entry {sptep:#x} is not in its list of {pte_list_count(head)}")


def _unlink(head: RmapHead, before: PteListDesc | None, empty: PteListDesc) -> None:
    if before is not None:
        before.more = empty.more
    else:
        head.val = empty.more or 0


def pte_list_count(head: RmapHead) -> int:
    """Return how many entries a list has.

    Kernel: pte_list_count(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    if not isinstance(head.val, PteListDesc):
        return int(head.val != 0)
    return sum(len(desc.sptes) for desc in head.descriptors())


def for_each_rmap_spte(head: RmapHead) -> Iterator[Sptep]:
    """Yield the entries of a list, the head's first; the list must not change meanwhile.

    Kernel: for_each_rmap_spte, arch/x86/kvm/mmu/mmu.c; rmap_get_first(),
        arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    if isinstance(head.val, PteListDesc):
        for desc in head.descriptors():
            yield from desc.sptes
    elif head.val:
        yield head.val
