"""Role words."""

from kvmmu_edu.x86 import mmu_page as page


def test_a_root_and_its_children():
    role = page.calc_tdp_mmu_root_page_role(as_id=1)
    assert page.role_as_id(role) == 1
    assert page.role_access(role) == 7
    levels = []
    while page.role_level(role):
        levels.append(page.role_level(role))
        role = page.child_role(role)
    assert levels == [4, 3, 2, 1]


def test_invalid_is_a_bit_of_its_own():
    role = page.calc_tdp_mmu_root_page_role()
    dead = page.role_invalidated(role)
    assert not page.role_is_invalid(role)
    assert page.role_is_invalid(dead)
    assert page.role_level(dead) == page.role_level(role)
