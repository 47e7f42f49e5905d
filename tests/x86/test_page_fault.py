"""A fault's fields, and how large a page it may map."""

import pytest

from kvmmu_edu.virt.memslots import id_to_memslot, memslots
from kvmmu_edu.x86.page_fault import (
    RET_PF_NAMES,
    PageFault,
    RetPf,
    disallowed_hugepage_adjust,
    mmu_hugepage_adjust,
    mmu_max_mapping_level,
)
from kvmmu_edu.x86.tdp_iter import for_each_tdp_pte
from tests.x86.conftest import GPA


def slot_of(machine):
    return id_to_memslot(memslots(machine.kvm), 0)


def test_fields_follow_from_the_error_code():
    fault = PageFault(0x401234, 0x100000017, None)
    assert (fault.gfn, fault.exec, fault.write, fault.present, fault.rsvd) == (
        0x401,
        True,
        True,
        True,
        False,
    )
    assert RET_PF_NAMES[RetPf.SPURIOUS] == "spurious"


@pytest.mark.parametrize(
    ("kind", "flags", "code", "goal"),
    [
        ("anon4k", 0, 4, 1),
        ("thp", 0, 4, 2),
        ("thp", 1, 4, 1),
    ],
)
def test_goal(machine, kind, flags, code, goal):
    made = machine(kind, 4 << 20, flags=flags)
    fault = PageFault(GPA + 0x5000, code, slot_of(made))
    fault.pfn = made.kvm.mm.page_for(made.hva + 0x5000, write=False).pfn
    whole = fault.pfn
    mmu_hugepage_adjust(made.mmu, fault)
    assert fault.goal_level == goal
    assert fault.pfn == (whole - 5 if goal == 2 else whole)


def test_an_nx_fault_knows_what_it_could_have_had(machine):
    made = machine("thp", 4 << 20)
    fault = PageFault(GPA, 0x14, slot_of(made), nx=True)
    fault.pfn = made.kvm.mm.page_for(made.hva, write=False).pfn
    mmu_hugepage_adjust(made.mmu, fault)
    assert (fault.req_level, fault.goal_level, fault.huge_page_disallowed) == (2, 1, True)


def test_the_slot_and_the_host_decide(machine):
    made = machine("thp", 4 << 20)
    slot = slot_of(made)
    assert mmu_max_mapping_level(made.mmu, slot, 0x400) == 2
    slot.arch.lpage_info.update_gfn_disallow_lpage_count(0x400, 1)
    assert mmu_max_mapping_level(made.mmu, slot, 0x400) == 1
    assert mmu_max_mapping_level(made.mmu, slot, 0x600) == 2


@pytest.mark.parametrize(
    ("kernel", "flagged", "goal"),
    [
        ("6.12", False, 2),
        ("6.12", True, 1),
        ("6.1", False, 1),
    ],
)
def test_a_table_in_the_way(machine, kernel, flagged, goal):
    made = machine("anon4k", 4 << 20, kernel=kernel)
    made.vcpu.read(GPA)
    it = next(
        it for it in for_each_tdp_pte(made.mmu, made.vcpu.state.arch.root, 0x405) if it.level == 2
    )
    made.mmu.arena.nx_huge_page_disallowed[it.child] = flagged
    fault = PageFault(GPA + 0x5000, 4, slot_of(made))
    fault.goal_level, fault.pfn = 2, 0x200000
    disallowed_hugepage_adjust(made.mmu, fault, it.old_spte, 2)
    assert fault.goal_level == goal
    assert fault.pfn == 0x200000 + (5 if goal == 1 else 0)
    made.mmu.arena.nx_huge_page_disallowed[it.child] = False
