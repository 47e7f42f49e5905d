"""What a page table is for: its role word.

=======  ==================  =====================================================
bits     field               for the TDP MMU
=======  ==================  =====================================================
3:0      level               4 for a root, one less for each child
7        direct              1: gfn to pfn, no guest table behind it
10:8     access              7
11       invalid             1 for a root that is being thrown away
12       efer_nx             1
15       smap_andnot_wp      0
16       ad_disabled         0
17       guest_mode          0 (1: for a nested guest)
31:24    smm                 the address space, 0 or 1
=======  ==================  =====================================================

Kernel: union kvm_mmu_page_role, arch/x86/include/asm/kvm_host.h (v6.12)
"""

from typing import Final

from kvmmu_edu.units import PT64_ROOT_4LEVEL, Level

_DIRECT: Final = 1 << 7
_ACCESS_SHIFT: Final = 8
_INVALID: Final = 1 << 11
_EFER_NX: Final = 1 << 12
_SMM_SHIFT: Final = 24


def calc_tdp_mmu_root_page_role(as_id: int = 0, level: Level = PT64_ROOT_4LEVEL) -> int:
    """Return the role word of a TDP root of address space *as_id*.

    >>> hex(calc_tdp_mmu_root_page_role())
    '0x1784'

    Kernel: kvm_calc_tdp_mmu_root_page_role(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    return level | _DIRECT | (7 << _ACCESS_SHIFT) | _EFER_NX | (as_id << _SMM_SHIFT)


def child_role(role: int) -> int:
    """Return the role word of a child table: one level lower, else the same.

    Kernel: tdp_mmu_init_child_sp(), arch/x86/kvm/mmu/tdp_mmu.c (v6.12)
    """
    return role - 1


def role_level(role: int) -> Level:
    """Return the level in a role word.

    Ours: a bit-field in the kernel.
    """
    return role & 15


def role_access(role: int) -> int:
    """Return the access bits in a role word.

    Ours: a bit-field in the kernel.
    """
    return (role >> _ACCESS_SHIFT) & 7


def role_as_id(role: int) -> int:
    """Return the address space of a role word.

    Kernel: kvm_mmu_role_as_id(), arch/x86/kvm/mmu/mmu_internal.h (v6.12)
    """
    return (role >> _SMM_SHIFT) & 1


def role_is_invalid(role: int) -> bool:
    """Return whether the page is being thrown away.

    Ours: a bit-field in the kernel.
    """
    return bool(role & _INVALID)


def role_invalidated(role: int) -> int:
    """Return the role word with its invalid bit set.

    Ours: a bit-field in the kernel.
    """
    return role | _INVALID
