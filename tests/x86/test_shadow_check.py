"""The checks find what is made wrong on purpose."""

import pytest

from kvmmu_edu import ModuleParams
from kvmmu_edu.errors import InvariantError
from kvmmu_edu.trace.events import ShadowSpteChanged
from kvmmu_edu.virt.memslots import id_to_memslot, memslots
from kvmmu_edu.x86.rmap import rmaps_of
from kvmmu_edu.x86.shadow_check import check_rmaps, check_shadow_pages
from kvmmu_edu.x86.shadow_page import page_table_hashfn
from tests.x86.conftest import GPA


@pytest.fixture
def made(machine):
    one = machine(params=ModuleParams(tdp_mmu=False))
    one.vcpu.write(GPA)
    check_shadow_pages(one.mmu)
    check_rmaps(one.mmu)
    return one


def heads(made):
    return rmaps_of(id_to_memslot(memslots(made.kvm), 0), 1).heads


def test_a_page_too_many_is_counted(made):
    made.mmu.n_used_mmu_pages += 1
    with pytest.raises(InvariantError, match="4 shadow pages are in the hash, n_used_mmu_pages"):
        check_shadow_pages(made.mmu)
    made.mmu.n_used_mmu_pages -= 1


def test_a_parent_is_forgotten(made):
    page = made.mmu.shadow.pages[4]
    parent, page.parent_ptes.val = page.parent_ptes.val, 0
    with pytest.raises(InvariantError, match=r"shadow page 4 knows parents \[\], but \[\(3, 2\)\]"):
        check_shadow_pages(made.mmu)
    page.parent_ptes.val = parent


def test_a_root_has_a_user_too_many(made):
    page = made.mmu.shadow.pages[made.vcpu.state.arch.root]
    page.root_count += 1
    with pytest.raises(InvariantError, match="root_count of shadow page 1 is 2, but 1 vCPUs"):
        check_shadow_pages(made.mmu)
    page.root_count -= 1


def test_a_page_is_neither_active_nor_invalid(made):
    del made.mmu.shadow.active_mmu_pages[4]
    with pytest.raises(InvariantError, match="shadow page 4 is not in active_mmu_pages"):
        check_shadow_pages(made.mmu)
    made.mmu.shadow.active_mmu_pages[4] = None


def test_a_mapped_page_is_in_no_reverse_map(made):
    head = heads(made).pop(3)
    with pytest.raises(InvariantError, match="7 entries are in reverse maps, but 8 entries map"):
        check_rmaps(made.mmu)
    heads(made)[3] = head


def test_a_page_is_in_the_reverse_map_of_another(made):
    mine = heads(made)
    mine[3], mine[4] = mine[4], mine[3]
    with pytest.raises(InvariantError, match="is in the reverse map of gfn 0x40"):
        check_rmaps(made.mmu)
    mine[3], mine[4] = mine[4], mine[3]


def test_an_entry_points_to_a_page_that_was_freed(made):
    link = next(e for e in made.events(ShadowSpteChanged) if e.level == 2)
    page = made.mmu.shadow.pages.pop(4)
    bucket = made.mmu.shadow.hash[page_table_hashfn(made.mmu.arena.gfns[4])]
    bucket.remove(4)
    made.mmu.n_used_mmu_pages -= 1
    del made.mmu.shadow.active_mmu_pages[4]
    with pytest.raises(InvariantError, match=f"of shadow page {link.table} points to freed 4"):
        check_shadow_pages(made.mmu)
    made.mmu.shadow.pages[4] = page
    bucket.append(4)
    made.mmu.n_used_mmu_pages += 1
    made.mmu.shadow.active_mmu_pages[4] = None
