"""Where large pages are not allowed: counters for each 2M and 1G page of a slot.

Most slots disallow nothing but perhaps their first and last large page, or everything; so
only counters that differ are stored.

Kernel: kvm_alloc_memslot_metadata(), arch/x86/kvm/x86.c; struct kvm_lpage_info,
    arch/x86/include/asm/kvm_host.h (v6.12)
Simplified: the kernel allocates an int for each large page; :attr:`LpageInfo.nbytes` says how
    much that would be.
"""

from kvmmu_edu.units import (
    MAX_HUGEPAGE_LEVEL,
    PAGES_PER_HPAGE,
    PG_LEVEL_2M,
    PG_LEVEL_4K,
    Gfn,
    Hva,
    Level,
    gfn_to_index,
)

_SIZE_OF_LPAGE_INFO = 4


class LpageInfo:
    """The counters of one slot.

    :ivar lpages: how many large pages of each level the slot touches
    :ivar congruent: for each level, whether gfn and hva agree in their low bits

    Kernel: struct kvm_lpage_info, arch/x86/include/asm/kvm_host.h (v6.12)
    """

    __slots__ = ("base_gfn", "congruent", "counts", "lpages")

    def __init__(self, base_gfn: Gfn, npages: int, userspace_addr: Hva) -> None:
        """Disallow what the slot's edges and its alignment forbid.

        A large page that reaches beyond the slot is disallowed.  Where gfn and hva differ
        in the bits below a large page, no large page can map both, and all are.
        """
        self.base_gfn = base_gfn
        levels = range(PG_LEVEL_2M, MAX_HUGEPAGE_LEVEL + 1)
        last = base_gfn + npages - 1
        self.lpages = {level: gfn_to_index(last, base_gfn, level) + 1 for level in levels}
        self.congruent = {
            level: not (base_gfn ^ (userspace_addr >> 12)) & (PAGES_PER_HPAGE[level] - 1)
            for level in levels
        }
        self.counts: dict[tuple[Level, int], int] = {}
        for level in levels:
            if base_gfn & (PAGES_PER_HPAGE[level] - 1):
                self.counts[level, 0] = 1
            if (base_gfn + npages) & (PAGES_PER_HPAGE[level] - 1):
                self.counts[level, self.lpages[level] - 1] = 1

    @property
    def nbytes(self) -> int:
        """Return the size that the kernel's arrays would have, in bytes."""
        return _SIZE_OF_LPAGE_INFO * sum(self.lpages.values())

    def disallow_lpage(self, gfn: Gfn, level: Level) -> int:
        """Return the counter for the large page of *level* that contains *gfn*.

        Kernel: lpage_info_slot(), arch/x86/kvm/mmu/mmu.c (v6.12)
        """
        if not self.congruent[level]:
            return 1
        return self.counts.get((level, gfn_to_index(gfn, self.base_gfn, level)), 0)

    def update_gfn_disallow_lpage_count(self, gfn: Gfn, count: int) -> None:
        """Add *count* to the counters of the 2M and the 1G page that contain *gfn*.

        Kernel: update_gfn_disallow_lpage_count(), arch/x86/kvm/mmu/mmu.c (v6.12)
        """
        for level in range(PG_LEVEL_2M, MAX_HUGEPAGE_LEVEL + 1):
            key = (level, gfn_to_index(gfn, self.base_gfn, level))
            self.counts[key] = self.counts.get(key, 0) + count

    def max_allowed_level(self, gfn: Gfn, max_level: Level) -> Level:
        """Return the largest level, at most *max_level*, that is not disallowed for *gfn*.

        Ours: a loop in __kvm_mmu_max_mapping_level().
        """
        while max_level > PG_LEVEL_4K and self.disallow_lpage(gfn, max_level):
            max_level -= 1
        return max_level
