"""Addresses, frame numbers, levels, and the arithmetic between them.

=========  ======================================  ==========
name       what it numbers                         unit
=========  ======================================  ==========
``gpa``    guest physical address                  bytes
``gfn``    guest frame number, ``gpa >> 12``       4 KiB pages
``hva``    address in the host user process        bytes
``pfn``    host page frame number                  4 KiB pages
``level``  1 = 4K, 2 = 2M, 3 = 1G, 4 and 5 = root  levels
=========  ======================================  ==========

Kernel: arch/x86/include/asm/kvm_host.h, arch/x86/include/asm/pgtable_types.h (v6.12)
"""

from typing import TypeAlias

Gpa: TypeAlias = int
Gfn: TypeAlias = int
Hva: TypeAlias = int
Pfn: TypeAlias = int
Level: TypeAlias = int

PAGE_SHIFT = 12
PAGE_SIZE = 1 << PAGE_SHIFT

PG_LEVEL_NONE = 0
PG_LEVEL_4K = 1
PG_LEVEL_2M = 2
PG_LEVEL_1G = 3
PG_LEVEL_512G = 4
MAX_HUGEPAGE_LEVEL = PG_LEVEL_1G
PT64_ROOT_4LEVEL = 4

SPTE_LEVEL_BITS = 9
SPTE_ENT_PER_PAGE = 1 << SPTE_LEVEL_BITS

#: pages of 4 KiB that one entry of a level spans; index 0 is not used
PAGES_PER_HPAGE: tuple[int, ...] = (0, 1, 1 << 9, 1 << 18, 1 << 27, 1 << 36)

#: how people write the levels
LEVEL_NAMES: tuple[str, ...] = ("", "4K", "2M", "1G", "512G", "256T")

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30
TIB = 1 << 40


def gpa_to_gfn(gpa: Gpa) -> Gfn:
    """Return the frame number of a guest physical address.

    >>> hex(gpa_to_gfn(0x400fff))
    '0x400'

    Kernel: gpa_to_gfn(), include/linux/kvm_host.h (v6.12)
    """
    return gpa >> PAGE_SHIFT


def gfn_to_gpa(gfn: Gfn) -> Gpa:
    """Return the first guest physical address of a frame, in bytes.

    Kernel: gfn_to_gpa(), include/linux/kvm_host.h (v6.12)
    """
    return gfn << PAGE_SHIFT


def gfn_round_for_level(gfn: Gfn, level: Level) -> Gfn:
    """Round *gfn* down to the first frame of its page of *level*.

    >>> hex(gfn_round_for_level(0x7ff, PG_LEVEL_2M))
    '0x600'

    Kernel: gfn_round_for_level(), arch/x86/kvm/mmu/mmu_internal.h (v6.12)
    """
    return gfn & -PAGES_PER_HPAGE[level]


def gfn_to_index(gfn: Gfn, base_gfn: Gfn, level: Level) -> int:
    """Return which entry of a slot's per-level array describes *gfn*.

    A slot that starts in the middle of a large page pays one entry more:

    >>> gfn_to_index(0x200, 0x1ff, PG_LEVEL_2M)
    1

    Kernel: gfn_to_index(), arch/x86/kvm/mmu.h (v6.12)
    """
    shift = (level - 1) * SPTE_LEVEL_BITS
    return (gfn >> shift) - (base_gfn >> shift)


def spte_index(gfn: Gfn, level: Level) -> int:
    """Return the column, 0 to 511, of *gfn* in a table of *level*.

    >>> spte_index(0x400, PG_LEVEL_2M)
    2

    Kernel: SPTE_INDEX, arch/x86/kvm/mmu/spte.h (v6.12)
    """
    return (gfn >> ((level - 1) * SPTE_LEVEL_BITS)) & (SPTE_ENT_PER_PAGE - 1)


def size_text(nbytes: int) -> str:
    """Return a size in bytes as people write it.

    >>> size_text(2 * MIB), size_text(96 * GIB), size_text(300)
    ('2 MiB', '96 GiB', '300 B')
    """
    for unit, name in ((TIB, "TiB"), (GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if nbytes >= unit:
            return f"{nbytes / unit:g} {name}"
    return f"{nbytes} B"
