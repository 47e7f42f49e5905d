import pytest

from kvmmu_edu import Vm
from kvmmu_edu.units import GIB, MIB
from kvmmu_widgets import check, exercises, runs


def state(answer, expected):
    return check(answer, expected).state


def test_counters_of_a_vm():
    wanted = exercises.counts({"vm.pages_4k": 1, "v0.pf_taken": 1})
    assert state(runs.first_access(), wanted) == "correct"
    assert state(..., wanted) == "still missing"
    almost = check(runs.read_then_write(), wanted)
    assert str(almost) == "almost: `v0.pf_taken` is 3"
    assert state(runs.accesses(count=9), wanted) == "keep working"


def test_what_is_no_vm_or_has_no_vcpu():
    wanted = exercises.counts({"v0.pf_taken": 1})
    assert "expected a VM, this is int" in str(check(3, wanted))
    assert "has a vCPU been created?" in str(check(Vm(), wanted))


def test_a_search_like_the_kernels():
    def search(node, gfn):
        while node is not None:
            slot = node.owner
            if gfn < slot.base_gfn:
                node = node.left
            elif gfn < slot.base_gfn + slot.npages:
                return slot
            else:
                node = node.right
        return None

    assert state(search, exercises.finds_slots) == "correct"


def test_searches_that_are_wrong():
    def off_by_one(node, gfn):
        while node is not None:
            slot = node.owner
            if gfn < slot.base_gfn:
                node = node.left
            elif gfn <= slot.base_gfn + slot.npages:
                return slot
            else:
                node = node.right
        return None

    assert state(off_by_one, exercises.finds_slots) == "almost"
    assert state(lambda node, gfn: node.owner, exercises.finds_slots) == "keep working"
    assert state(lambda node, gfn: ..., exercises.finds_slots) == "still missing"
    assert state(lambda node, gfn: node.nothing, exercises.finds_slots) == "keep working"


def test_a_page_in_many_slots():
    vm = runs.alias()
    assert state(vm, exercises.shows_a_page_often(2)) == "correct"
    assert str(check(vm, exercises.shows_a_page_often(3))).startswith("almost: the first page")
    assert state(runs.bare(), exercises.shows_a_page_often(2)) == "keep working"


@pytest.mark.parametrize("answer", [7, Vm()])
def test_a_page_of_nothing(answer):
    assert state(answer, exercises.shows_a_page_often(2)) == "keep working"


def test_waits_of_many_changes():
    assert exercises.srcu_waits(create=200, delete=200) == 600
    assert exercises.srcu_waits(move=1, flags=3) == 5


def test_errnos():
    right = {"move slot 0 onto slot 1": "EEXIST", "slot 0 as it is": 0}
    assert state(right, exercises.errnos) == "correct"
    assert state(right | {"slot 0 as it is": "EINVAL"}, exercises.errnos) == "almost"
    assert state(dict.fromkeys(right, ...), exercises.errnos) == "still missing"
    assert state(dict.fromkeys(right, "EIO"), exercises.errnos) == "keep working"
    assert "no attempt 'x'" in str(check({"x": "0"}, exercises.errnos))
    assert "expected a dict" in str(check(["EINVAL"], exercises.errnos))


@pytest.mark.parametrize(("count", "depth"), [(1, 1), (3, 2), (63, 10)])
def test_depth(count, depth):
    assert exercises.gfn_tree_depth(count) == depth


def odd(memory, gpa, skew, where):
    vm = runs.machine("thp", memory, gpa=gpa, skew=skew)
    vm.vcpus[0].write(where)
    return vm


def test_one_huge_page_off_alignment():
    wanted = exercises.one_huge_page_off_alignment
    assert state(odd(4 * MIB, GIB + 4096, 4096, GIB + 2 * MIB), wanted) == "correct"
    assert state(odd(4 * MIB, GIB + 4096, 4096, GIB + 4096), wanted) == "almost"
    assert "gpa 0x40000000 is a multiple" in str(check(odd(MIB, GIB, 4096, GIB), wanted))
    assert "is a multiple of 2 MiB" in str(check(odd(MIB, GIB + 4096, 0, GIB + 4096), wanted))
    assert "no slot 0" in str(check(Vm(), wanted))
    assert "expected a VM" in str(check(1, wanted))


def test_tables_of_four_gibibytes():
    assert exercises.tdp_mmu_pages(4 * GIB) == 1 + 4 + 2048


def test_pages_of_an_odd_slot():
    wanted = exercises.pages_of_an_odd_slot
    assert state({"2M": 2, "4K": 256}, wanted) == "correct"
    assert str(check({"2M": 2, "4K": 512}, wanted)) == "almost: 4K is not right yet"
    assert state({"2M": 1, "4K": 1}, wanted) == "keep working"
    assert state({"2M": ..., "4K": ...}, wanted) == "still missing"
    assert state({"2M": 2}, wanted) == "keep working"


def test_ten_reads_in_a_hole():
    assert state({"pf_taken": 1, "mmio_exits": 10}, exercises.ten_reads_in_a_hole) == "correct"
    assert state({"pf_taken": 10, "mmio_exits": 10}, exercises.ten_reads_in_a_hole) == "almost"
