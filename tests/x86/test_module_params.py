"""Module parameters: who may write what, and what happens then."""

import pytest

from kvmmu_edu import Choices, ModuleParams, Vm
from kvmmu_edu.errors import KvmError, UsageError
from kvmmu_edu.trace.events import ZapAllFast
from kvmmu_edu.x86.module_params import PARAMETERS
from tests.x86.conftest import GPA


def errno_of(call, *args):
    with pytest.raises(KvmError) as error:
        call(*args)
    return error.value.name


def test_what_the_files_show():
    vm = Vm(params=ModuleParams(nx_huge_pages="force", eager_page_split=False))
    shown = {name: vm.module_param(name) for name in PARAMETERS if name != "lapic_timer_advance_ns"}
    assert shown["nx_huge_pages"] == "Y"
    assert shown["eager_page_split"] == "N"
    assert shown["nested"] == "1"
    assert shown["npt"] == "Y"
    assert shown["nx_huge_pages_recovery_ratio"] == "60"
    assert shown["halt_poll_ns_shrink"] == "2"


def test_each_kernel_has_its_own_parameters():
    old, new = Vm(choices=Choices(kernel="6.1")), Vm()
    assert old.module_param("lapic_timer_advance_ns") == "-1"
    assert errno_of(new.module_param, "lapic_timer_advance_ns") == "ENOENT"
    assert new.module_param("enable_virt_at_load") == "Y"
    assert errno_of(old.module_param, "enable_virt_at_load") == "ENOENT"
    assert old.module_param("halt_poll_ns_shrink") == "0"


def test_a_parameter_belongs_to_a_module():
    vm = Vm()
    assert vm.module_param("kvm_amd/nested") == "1"
    assert errno_of(vm.module_param, "kvm/nested") == "ENOENT"
    assert errno_of(vm.set_module_param, "kvm_amd/eager_page_split", "N") == "ENOENT"


@pytest.mark.parametrize("name", ["mmio_caching", "tdp_mmu", "npt", "nested", "enable_pmu"])
def test_what_cannot_be_written(name):
    vm = Vm()
    before = vm.module_param(name)
    assert errno_of(vm.set_module_param, name, "N") == "EACCES"
    assert vm.module_param(name) == before


def test_tdp_mmu_can_be_written_in_6_1_for_the_next_vm():
    vm = Vm(choices=Choices(kernel="6.1"))
    vm.set_module_param("tdp_mmu", "N")
    assert vm.module_param("tdp_mmu") == "N"
    vm.host.mmap("A", "anon4k", 4096)
    vm.set_user_memory_region(0, 0, GPA, 4096, vm.host.mapping("A")[0])
    assert vm.create_vcpu().read(GPA) == []
    assert vm.counters.vm["pages_4k"] == 1


def test_what_is_written_is_shown_and_wrong_values_change_nothing():
    vm = Vm()
    for name, text, shown in (
        ("eager_page_split", "0", "N"),
        ("halt_poll_ns", "0x10", "16"),
        ("pi_inject_timer", "Y", "1"),
        ("force_emulation_prefix", "-1", "-1"),
        ("nx_huge_pages_recovery_period_ms", 250, "250"),
    ):
        vm.set_module_param(name, text)
        assert vm.module_param(name) == shown
        assert errno_of(vm.set_module_param, name, "?") == "EINVAL"
        assert vm.module_param(name) == shown
    assert errno_of(vm.set_module_param, "halt_poll_ns", 1 << 32) == "ERANGE"
    assert Vm().module_param("halt_poll_ns") == "200000"


# --- NX huge pages --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [("force", "Y"), ("Y", "Y"), ("1", "Y"), ("auto", "N"), ("off", "N"), ("Force", "N")],
)
def test_nx_huge_pages_takes_words_and_truth_values(text, shown):
    vm = Vm()
    vm.set_module_param("nx_huge_pages", text)
    assert vm.module_param("nx_huge_pages") == shown


def test_never_is_refused_while_there_is_a_vm():
    vm = Vm()
    assert errno_of(vm.set_module_param, "nx_huge_pages", "never") == "EBUSY"
    assert errno_of(vm.set_module_param, "nx_huge_pages", "bogus") == "EINVAL"
    assert vm.module_param("nx_huge_pages") == "N"


def test_never_is_for_ever():
    vm = Vm(params=ModuleParams(nx_huge_pages="never"))
    assert vm.module_param("nx_huge_pages") == "never"
    for name in ("nx_huge_pages", *(n for n in PARAMETERS if n.startswith("nx_huge_pages_"))):
        assert errno_of(vm.set_module_param, name, "1") == "EPERM"


def test_a_vm_refuses_a_mode_that_does_not_exist():
    with pytest.raises(UsageError, match="expected off, force, auto or never"):
        Vm(params=ModuleParams(nx_huge_pages="Y"))


@pytest.mark.parametrize("kernel", ["6.12", "6.1"])
def test_a_change_throws_away_all_mappings_and_no_change_none(machine, kernel):
    made = machine("huge2m", kernel=kernel)
    made.vcpu.exec(GPA)
    assert made.pages() == (0, 1, 0)
    for text, zapped in (("off", 0), ("auto", 0), ("force", 1), ("Y", 1), ("off", 2)):
        made.vm.set_module_param("nx_huge_pages", text)
        assert len(made.events(ZapAllFast)) == zapped
        assert made.pages() == (0, int(zapped == 0), 0)
    assert made.stats["remote_tlb_flush_requests"] == 0


def test_the_rule_holds_for_pages_mapped_after_the_change(machine):
    made = machine("huge2m")
    made.vm.set_module_param("nx_huge_pages", "force")
    made.vcpu.read(GPA)
    made.vcpu.exec(GPA)
    assert made.pages() == (512, 0, 0)
    assert made.stats["nx_lpage_splits"] == 1
    made.vm.set_module_param("nx_huge_pages", "off")
    assert made.stats["nx_lpage_splits"] == 0
    made.vcpu.exec(GPA)
    assert made.pages() == (0, 1, 0)
