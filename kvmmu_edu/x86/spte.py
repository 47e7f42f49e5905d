"""The 64 bits of an SPTE: what they mean and how to ask.

========  =================================  =================================
bit       NPT (AMD), also legacy paging      EPT (Intel)
========  =================================  =================================
0         present                            readable
1         writable                           writable
2         user                               executable
5, 6      accessed, dirty                    memory type (with 3, 4), IPAT
7         large page                         large page
8, 9      global, host-writable              accessed, dirty
10        MMU-writable                       -
11        MMU-present (software)             MMU-present (software)
51:12     frame number                       frame number
53:52     A/D type (software)                A/D type (software)
57, 58    -                                  host-writable, MMU-writable
63        no-execute                         suppress #VE
========  =================================  =================================

Predicates take one SPTE (an int) or an array of them (uint64) and answer in kind.

Kernel: arch/x86/kvm/mmu/spte.h, arch/x86/kvm/mmu/spte.c (v6.12)
"""

from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from kvmmu_edu.choices import Choices
from kvmmu_edu.units import PG_LEVEL_4K, Level, Pfn

Spte: TypeAlias = int
SpteArray: TypeAlias = NDArray[np.uint64]

PT_PRESENT_MASK: Final = 1 << 0
PT_WRITABLE_MASK: Final = 1 << 1
PT_USER_MASK: Final = 1 << 2
PT_ACCESSED_MASK: Final = 1 << 5
PT_DIRTY_MASK: Final = 1 << 6
PT_PAGE_SIZE_MASK: Final = 1 << 7
PT64_NX_MASK: Final = 1 << 63
SPTE_MMU_PRESENT_MASK: Final = 1 << 11
SPTE_BASE_ADDR_MASK: Final = ((1 << 52) - 1) & ~0xFFF

SPTE_TDP_AD_MASK: Final = 3 << 52
SPTE_TDP_AD_DISABLED: Final = 1 << 52

ACC_EXEC_MASK: Final = 1
ACC_WRITE_MASK: Final = 2
ACC_USER_MASK: Final = 4
ACC_ALL: Final = 7

_MMIO_BIT: Final = 1 << 51
_MMIO_GEN_LOW_BITS: Final = 8
MMIO_SPTE_GEN_MASK: Final = (1 << 19) - 1
_U64: Final = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class SpteFormat:
    """The masks of one paging format and kernel version, by the kernel's names.

    Kernel: kvm_mmu_reset_all_pte_masks(), arch/x86/kvm/mmu/spte.c; kvm_mmu_set_ept_masks(),
        arch/x86/kvm/mmu/spte.c (v6.12)
    In v6.1: an empty entry is 0, so the mark of a frozen one has no bit 63; nor has an EPT entry.
    Simplified: A/D bits are always enabled for what KVM itself maps; no memory encryption, no
        L1TF address mangling (the modelled CPU needs none).
    """

    shadow_present_mask: int
    shadow_user_mask: int
    shadow_x_mask: int
    shadow_nx_mask: int
    shadow_accessed_mask: int
    shadow_dirty_mask: int
    shadow_host_writable_mask: int
    shadow_mmu_writable_mask: int
    shadow_memtype_mask: int
    shadow_mmio_value: int
    shadow_mmio_mask: int
    shadow_mmio_access_mask: int
    SHADOW_NONPRESENT_VALUE: int
    FROZEN_SPTE: int
    #: ours: the bits that an SPTE has for whichever page it maps
    every_page: int = field(init=False)
    #: ours: the bits that say who may execute, for each combination of ``ACC_*``
    exec_and_user: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Put together what :func:`~kvmmu_edu.x86.make_spte.make_spte` needs for each page."""
        always = SPTE_MMU_PRESENT_MASK | self.shadow_present_mask | self.shadow_memtype_mask
        object.__setattr__(self, "every_page", always)
        exec_and_user = tuple(
            (self.shadow_x_mask if access & ACC_EXEC_MASK else self.shadow_nx_mask)
            | (self.shadow_user_mask if access & ACC_USER_MASK else 0)
            for access in range(ACC_ALL + 1)
        )
        object.__setattr__(self, "exec_and_user", exec_and_user)


def spte_format(choices: Choices) -> SpteFormat:
    """Return the masks for what was chosen.

    Ours: the kernel keeps them in global variables.
    """
    nonpresent = 0 if choices.is_6_1 else 1 << 63
    frozen = nonpresent | 0x5A0
    if choices.paging == "npt":
        return SpteFormat(
            shadow_present_mask=PT_PRESENT_MASK,
            shadow_user_mask=PT_USER_MASK,
            shadow_x_mask=0,
            shadow_nx_mask=PT64_NX_MASK,
            shadow_accessed_mask=PT_ACCESSED_MASK,
            shadow_dirty_mask=PT_DIRTY_MASK,
            shadow_host_writable_mask=1 << 9,
            shadow_mmu_writable_mask=1 << 10,
            shadow_memtype_mask=0,
            shadow_mmio_value=_MMIO_BIT | PT_PRESENT_MASK,
            shadow_mmio_mask=_MMIO_BIT | PT_PRESENT_MASK,
            shadow_mmio_access_mask=ACC_WRITE_MASK | ACC_USER_MASK,
            SHADOW_NONPRESENT_VALUE=nonpresent,
            FROZEN_SPTE=frozen,
        )
    suppress_ve = 0 if choices.is_6_1 else 1 << 63
    return SpteFormat(
        shadow_present_mask=suppress_ve,
        shadow_user_mask=1 << 0,
        shadow_x_mask=1 << 2,
        shadow_nx_mask=0,
        shadow_accessed_mask=1 << 8,
        shadow_dirty_mask=1 << 9,
        shadow_host_writable_mask=1 << 57,
        shadow_mmu_writable_mask=1 << 58,
        shadow_memtype_mask=(6 << 3) | (1 << 6),
        shadow_mmio_value=0b110,
        shadow_mmio_mask=0b111 | suppress_ve,
        shadow_mmio_access_mask=0,
        SHADOW_NONPRESENT_VALUE=nonpresent,
        FROZEN_SPTE=frozen,
    )


def is_shadow_present_pte(spte: Any) -> Any:
    """Return whether KVM installed a table or a page here (MMIO and frozen do not count).

    Kernel: is_shadow_present_pte(), arch/x86/kvm/mmu/spte.h (v6.12)
    """
    return (spte & SPTE_MMU_PRESENT_MASK) != 0


def is_large_pte(spte: Any) -> Any:
    """Return whether the entry maps a huge page.

    Kernel: is_large_pte(), arch/x86/kvm/mmu/spte.h (v6.12)
    """
    return (spte & PT_PAGE_SIZE_MASK) != 0


def is_last_spte(spte: Any, level: Level) -> Any:
    """Return whether a present entry of *level* maps a page rather than a table.

    Kernel: is_last_spte(), arch/x86/kvm/mmu/spte.h (v6.12)
    """
    if level == PG_LEVEL_4K:
        return True if isinstance(spte, int) else np.ones(np.shape(spte), np.bool_)
    return (spte & PT_PAGE_SIZE_MASK) != 0


def is_shadow_present_leaf(spte: Any, level: Level) -> Any:
    """Return whether the entry of *level* maps a page.

    Ours: the kernel writes both conditions out.
    """
    if level == PG_LEVEL_4K:
        return (spte & SPTE_MMU_PRESENT_MASK) != 0
    both = SPTE_MMU_PRESENT_MASK | PT_PAGE_SIZE_MASK
    return (spte & both) == both


def is_shadow_present_table(spte: Any, level: Level) -> Any:
    """Return whether the entry of *level* points to a table.

    Ours: the kernel writes both conditions out.
    """
    if level == PG_LEVEL_4K:
        return False if isinstance(spte, int) else np.zeros(np.shape(spte), np.bool_)
    both = SPTE_MMU_PRESENT_MASK | PT_PAGE_SIZE_MASK
    return (spte & both) == SPTE_MMU_PRESENT_MASK


def is_writable_pte(spte: Any) -> Any:
    """Return whether the CPU may write.

    Kernel: is_writable_pte(), arch/x86/kvm/mmu/spte.h (v6.12)
    """
    return (spte & PT_WRITABLE_MASK) != 0


def is_mmu_writable_spte(spte: Any, fmt: SpteFormat) -> Any:
    """Return whether the entry may be made writable without mmu_lock.

    Kernel: is_mmu_writable_spte(), arch/x86/kvm/mmu/spte.h (v6.12)
    """
    return (spte & fmt.shadow_mmu_writable_mask) != 0


def is_executable_pte(spte: Any, fmt: SpteFormat) -> Any:
    """Return whether the CPU may fetch instructions.

    Kernel: is_executable_pte(), arch/x86/kvm/mmu/spte.h (v6.12)
    """
    return (spte & (fmt.shadow_x_mask | fmt.shadow_nx_mask)) == fmt.shadow_x_mask


def is_accessed_spte(spte: Any, fmt: SpteFormat) -> Any:
    """Return whether the CPU used the entry since the bit was cleared.

    Kernel: is_accessed_spte(), arch/x86/kvm/mmu/spte.h (v6.12)
    """
    return (spte & fmt.shadow_accessed_mask) != 0


def is_dirty_spte(spte: Any, fmt: SpteFormat) -> Any:
    """Return whether the CPU wrote through the entry since the bit was cleared.

    Kernel: is_dirty_spte(), arch/x86/kvm/mmu/spte.h (v6.12)
    """
    return (spte & fmt.shadow_dirty_mask) != 0


def is_mmio_spte(spte: Any, fmt: SpteFormat) -> Any:
    """Return whether the entry says that there is no memory.

    Kernel: is_mmio_spte(), arch/x86/kvm/mmu/spte.h (v6.12)
    """
    return (spte & fmt.shadow_mmio_mask) == fmt.shadow_mmio_value


def is_frozen_spte(spte: Any, fmt: SpteFormat) -> Any:
    """Return whether another task is about to remove or replace the entry.

    Kernel: is_frozen_spte(), arch/x86/kvm/mmu/spte.h (v6.12)
    In v6.1: called is_removed_spte().
    """
    return spte == fmt.FROZEN_SPTE


def spte_to_pfn(spte: Any) -> Any:
    """Return the frame number in an entry.

    Kernel: spte_to_pfn(), arch/x86/kvm/mmu/spte.h (v6.12)
    """
    return (spte & SPTE_BASE_ADDR_MASK) >> 12


def generation_mmio_spte_mask(gen: int) -> int:
    """Return where the 19 bits of a slot generation go in an MMIO SPTE.

    >>> hex(generation_mmio_spte_mask(8)), hex(generation_mmio_spte_mask(0x100))
    ('0x40', '0x10000000000000')

    Kernel: generation_mmio_spte_mask(), arch/x86/kvm/mmu/spte.c (v6.12)
    """
    low = gen & ((1 << _MMIO_GEN_LOW_BITS) - 1)
    return (low << 3) | ((gen >> _MMIO_GEN_LOW_BITS) << 52)


def get_mmio_spte_generation(spte: int) -> int:
    """Return the slot generation in an MMIO SPTE.

    >>> get_mmio_spte_generation(generation_mmio_spte_mask(0x12345))
    74565

    Kernel: get_mmio_spte_generation(), arch/x86/kvm/mmu/spte.h (v6.12)
    """
    low = (spte >> 3) & ((1 << _MMIO_GEN_LOW_BITS) - 1)
    return low | (((spte >> 52) & 0x7FF) << _MMIO_GEN_LOW_BITS)


def get_mmio_spte_gfn(spte: int) -> int:
    """Return the guest frame in an MMIO SPTE.

    Kernel: get_mmio_spte_gfn(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    return (spte & SPTE_BASE_ADDR_MASK & ~_MMIO_BIT) >> 12


def clear_bits(spte: Any, mask: int) -> Any:
    """Return *spte* without the bits of *mask*.

    Ours: ``& ~mask`` on unsigned words, for ints and arrays alike.
    """
    return spte & (_U64 ^ mask)


def pfn_to_spte_bits(pfn: Pfn) -> int:
    """Return a frame number where an SPTE holds it.

    Ours.
    """
    return pfn << 12
