"""Shadow pages: found by frame and role, made if there are none."""

import pytest

from kvmmu_edu import ModuleParams
from kvmmu_edu.trace.events import GetShadowPage
from kvmmu_edu.x86 import shadow_page
from kvmmu_edu.x86.mmu_page import calc_tdp_mmu_root_page_role
from kvmmu_edu.x86.shadow_zap import mmu_commit_zap_page, mmu_prepare_zap_page

ROLE = calc_tdp_mmu_root_page_role() - 3


@pytest.fixture
def made(machine):
    one = machine(params=ModuleParams(tdp_mmu=False))
    yield one
    invalid = []
    for row in list(one.mmu.shadow.active_mmu_pages):
        mmu_prepare_zap_page(one.mmu, row, invalid)
    mmu_commit_zap_page(one.mmu, invalid)
    one.kvm.rcu.run_callbacks()


def get(made, gfn=0x400, role=ROLE):
    return shadow_page.mmu_get_shadow_page(made.mmu, gfn, role)


def test_a_page_is_made_once(made):
    first = get(made)
    assert get(made) == first
    assert [event.created for event in made.events(GetShadowPage)] == [True, False]
    assert made.stats["mmu_cache_miss"] == 1
    assert made.mmu.n_used_mmu_pages == 1


def test_another_role_is_another_page(made):
    assert len({get(made), get(made, role=ROLE + 1), get(made, gfn=0x600)}) == 3


def test_an_obsolete_page_is_not_found(made):
    first = get(made)
    made.mmu.mmu_valid_gen ^= 1
    assert shadow_page.is_obsolete_sp(made.mmu, first)
    second = get(made)
    assert second != first
    assert made.events(GetShadowPage)[-1].mmu_valid_gen == 1


def test_frames_that_share_a_list_collide(made):
    bucket = shadow_page.page_table_hashfn(0x400)
    same = [g for g in range(0x200, 1 << 23, 0x200) if shadow_page.page_table_hashfn(g) == bucket]
    for gfn in same[:3]:
        get(made, gfn)
    assert made.stats["max_mmu_page_hash_collisions"] == 2
    get(made, same[2])
    assert made.stats["max_mmu_page_hash_collisions"] == 2


def test_the_oldest_comes_first(made):
    rows = [get(made, gfn) for gfn in (0x600, 0x400, 0x800)]
    assert list(made.mmu.shadow.active_mmu_pages) == rows


def test_parents_come_and_go(made):
    row = get(made)
    shadow_page.mmu_page_add_parent_pte(made.mmu, row, 700)
    assert made.mmu.shadow.pages[row].parent_ptes.val == 700
    shadow_page.mmu_page_remove_parent_pte(made.mmu, row, 700)
    assert made.mmu.shadow.pages[row].parent_ptes.val == 0
