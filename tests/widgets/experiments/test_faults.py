import pytest

from kvmmu_edu import KvmError
from kvmmu_widgets import experiments, look

KERNELS = ("6.12", "6.1")


@pytest.mark.parametrize("kernel", KERNELS)
def test_each_result_comes_about(kernel):
    grid = experiments.results(kernel)
    found = dict(zip(grid["what happens"], grid["results of the faults"], strict=True))
    assert found == {
        "a first touch": "RET_PF_FIXED",
        "a write where the zero page is mapped": "RET_PF_RETRY, then RET_PF_FIXED",
        "another vCPU maps the page first": "RET_PF_SPURIOUS",
        "the host takes the page away meanwhile": "RET_PF_RETRY, then RET_PF_FIXED",
        "no slot there": "RET_PF_EMULATE",
        "a write to a read-only slot": "RET_PF_EMULATE",
        "a write that only the dirty log forbids": "RET_PF_FIXED",
        "the host has no page to give": "errno 14",
    }
    counted = dict(zip(grid["what happens"], grid["statistics of the vCPU"], strict=True))
    assert counted["a write that only the dirty log forbids"].endswith("pf_fast 1")
    assert counted["another vCPU maps the page first"] == "pf_taken 1, pf_spurious 1"


@pytest.mark.parametrize("kernel", KERNELS)
def test_slot_and_host_deny_in_different_ways(kernel):
    grid = experiments.denied(kernel)
    by_case = dict(
        zip(zip(grid["the memory"], grid["the guest's"], strict=True), grid.rows, strict=True)
    )
    assert by_case["slot is READONLY", "write"][2:] == ("MMIO exit", 0)
    assert by_case["slot is READONLY", "read"][2:] == ("nothing", 1)
    assert by_case["host: mprotect(PROT_READ)", "write"][2] == "KVM_RUN fails: EFAULT"
    assert experiments.write_to_read_only(kernel) == "MMIO exit"


@pytest.mark.parametrize("kernel", KERNELS)
def test_sizes_depend_on_how_gfn_and_hva_lie(kernel):
    grid = experiments.sizes(kernel)
    assert grid["page mapped"] == ["4K", "2M", "4K", "2M", "4K", "2M", "1G", "2M"]
    assert grid["page tables"] == [4, 3, 4, 3, 4, 3, 2, 3]


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_deletion_takes_everything(kernel):
    moved = look.moved(experiments.delete_another(kernel))
    by = dict(zip(moved["counter"], moved["by"], strict=True))
    assert by["pages_4k"] == "-16"
    assert "remote_tlb_flush_requests" not in by


def test_without_the_quirk_it_takes_its_own():
    vm = experiments.delete_another(quirk=False)
    assert "pages_4k" not in look.moved(vm)["counter"]
    assert vm.counters.vm["pages_4k"] == 16
    with pytest.raises(KvmError, match="EINVAL"):
        experiments.delete_another("6.1", quirk=False)
