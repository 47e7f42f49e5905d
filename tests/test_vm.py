"""The facade."""

import pytest

from kvmmu_edu import Choices, KvmError, ModuleParams, UsageError, Vm
from kvmmu_edu.trace.events import OperationBegin, OperationEnd
from kvmmu_edu.trace.recorder import StepTrace


def small(**options):
    vm = Vm(**options)
    hva = vm.host.mmap("A", "anon4k", 1 << 20)
    vm.set_user_memory_region(0, 0, 1 << 20, 1 << 20, hva)
    return vm


def test_operations_are_what_the_user_did():
    vm = small(trace="events")
    vm.create_vcpu().write(0x101000)
    with vm.operation("both"):
        vm.vcpus[0].read(0x102000)
        vm.vcpus[0].read(0x103000)
    texts = [e.text for e in vm.trace.events() if isinstance(e, OperationBegin)]
    assert texts == ["mmap A", "slot 0 0x100000 0x100000", "write 0x101000", "both"]
    ends = [e.n for e in vm.trace.events() if isinstance(e, OperationEnd)]
    assert ends == [1, 2, 3, 4]


def test_a_refused_ioctl_changes_nothing():
    vm = small()
    before = vm.state_hash()
    for arguments, name in (
        ((0, 0, 1 << 20, 1 << 21, 0), "EINVAL"),
        ((1, 0, 1 << 20, 4096, 0x1000), "EEXIST"),
        ((1, 4, 1 << 21, 4096, 0x1000), "EINVAL"),
        ((40000, 0, 1 << 21, 4096, 0x1000), "EINVAL"),
        ((7, 0, 0, 0, 0), "EINVAL"),
    ):
        with pytest.raises(KvmError, match=name):
            vm.set_user_memory_region(*arguments)
        assert vm.state_hash() == before
        vm.check()


@pytest.mark.parametrize(
    "region",
    [
        (-1, 0, 0, 4096, 0),
        (1, -1, 0, 4096, 0),
        (1, 0, -4096, 4096, 0),
        (1, 0, 0, -4096, 0),
        (1, 0, 0, 4096, -4096),
        (1 << 32, 0, 0, 4096, 0),
        (1, 0, 1 << 64, 4096, 0),
    ],
)
def test_numbers_that_the_ioctl_has_no_room_for(region):
    vm = small()
    before = vm.state_hash()
    with pytest.raises(UsageError, match="expected 0 to"):
        vm.set_user_memory_region(*region)
    assert vm.state_hash() == before


def test_time_does_not_go_backwards():
    with pytest.raises(UsageError, match="ms is -0x1; expected"):
        small().advance(-1)


def test_state_hash_tells_states_apart():
    one, other = small(), small()
    assert one.state_hash() == other.state_hash()
    one.create_vcpu().read(1 << 20)
    assert one.state_hash() != other.state_hash()


@pytest.mark.parametrize(
    "options",
    [
        {"trace": "everything"},
        {"params": ModuleParams(npt=False)},
        {"thp": "sometimes"},
        {"grain": 0},
        {"hugepages2m": -1},
        {"hugepages1g": 1 << 32},
    ],
)
def test_what_is_not_modelled_is_said_in_one_line(options):
    with pytest.raises(UsageError) as caught:
        Vm(**options)
    assert "expected" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong", [{"kernel": "5.4"}, {"paging": "sv39"}, {"maxphyaddr": 99}])
def test_choices_are_checked(wrong):
    with pytest.raises(UsageError, match="expected"):
        Choices(**wrong)


def test_a_sink_of_ones_own():
    trace = StepTrace()
    vm = small(trace=trace)
    assert vm.trace is trace
    assert all(record.sites for record in trace.records if record.task == "kvmtrace")


def test_limits():
    vm = small()
    with pytest.raises(KvmError, match="EINVAL: 63 MMU pages"):
        vm.set_nr_mmu_pages(63)
    vm.set_nr_mmu_pages(64)
    assert vm.rmaps_stat() == ""
    assert vm.module_param("eager_page_split") == "Y"
    with pytest.raises(KvmError, match="ENOENT"):
        vm.module_param("colour")


def test_destroy_frees_all():
    vm = small()
    vm.create_vcpu().write(1 << 20)
    vm.destroy()
    assert vm.counters.counts["tables_allocated"] == vm.counters.counts["tables_freed"] == 4
