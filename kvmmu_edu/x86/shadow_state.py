"""What the shadow MMU keeps for a VM: its pages, by hash and by age.

Kernel: arch/x86/kvm/mmu/mmu.c (v6.12)
"""

from kvmmu_edu.errors import ensure
from kvmmu_edu.x86.pte_list import RmapHead


class ShadowPage:
    """What is kept for a page besides its entries, its frame and its role.

    :ivar parent_ptes: the entries that point to it
    :ivar root_count: how many vCPUs use it as their root
    :ivar mmu_valid_gen: the generation it was made in

    Ours as a name.
    Kernel: struct kvm_mmu_page, arch/x86/kvm/mmu/mmu_internal.h (v6.12)
    """

    __slots__ = ("mmu_valid_gen", "parent_ptes", "root_count")

    def __init__(self, mmu_valid_gen: int) -> None:
        """Make a page to which nothing points."""
        self.parent_ptes = RmapHead()
        self.root_count = 0
        self.mmu_valid_gen = mmu_valid_gen


class ShadowPages:
    """The shadow pages of a VM, by row of the arena; mmu_lock for writing guards all of it.

    :ivar pages: those that exist
    :ivar hash: their rows by hash of the frame, the newest first
    :ivar active_mmu_pages: a dict for its order: the oldest first
    :ivar zapped_obsolete_pages: zapped, and waiting for the flush after which they are freed

    Ours as an object of its own: in the kernel fields of struct kvm_arch.
    """

    def __init__(self) -> None:
        """Have no pages."""
        self.pages: dict[int, ShadowPage] = {}
        self.hash: dict[int, list[int]] = {}
        self.active_mmu_pages: dict[int, None] = {}
        self.zapped_obsolete_pages: list[int] = []

    def check(self) -> None:
        """Raise unless hash and lists know the pages that exist, and no others."""
        hashed = [row for rows in self.hash.values() for row in rows]
        ensure(
            sorted(hashed) == sorted(self.pages),
            f"the hash has shadow pages {sorted(hashed)}, but {sorted(self.pages)} exist",
        )
        ensure(
            set(self.active_mmu_pages) <= set(self.pages),
            "active_mmu_pages lists a shadow page that does not exist",
        )
        waiting = self.zapped_obsolete_pages
        ensure(not waiting, f"shadow pages {waiting} were zapped but never freed")
