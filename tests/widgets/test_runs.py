import pytest

from kvmmu_edu import KvmError, UsageError
from kvmmu_edu.units import GIB, MIB
from kvmmu_widgets import Stepper, explore, runs

KERNELS = ("6.12", "6.1")


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("backing", ["anon4k", "thp", "huge2m", "huge1g"])
def test_a_first_access_maps_one_page_of_the_size_behind_it(kernel, backing):
    vm = runs.first_access("write", backing, kernel)
    vm.check()
    level = {4096: "pages_4k", 2 * MIB: "pages_2m", GIB: "pages_1g"}[runs.PAGE_OF[backing]]
    assert vm.counters.vm[level] == 1
    assert vm.kvm.choices.kernel == kernel


def test_a_read_of_untouched_memory_makes_the_write_fault_twice():
    vm = runs.read_then_write()
    assert vm.vcpus[0].stats["pf_taken"] == 3
    assert vm.counters.vm["remote_tlb_flush_requests"] == 1


@pytest.mark.parametrize("access", ["read", "write", "exec"])
def test_accesses_touch_as_many_pages_as_asked_for(access):
    vm = runs.accesses("anon4k", access, count=3)
    assert vm.counters.vm["pages_4k"] == 3


def test_touches_come_in_their_order():
    assert runs.touches("write read write").vcpus[0].stats["pf_taken"] == 1
    assert runs.touches("read write").vcpus[0].stats["pf_taken"] == 3
    assert runs.touches("").vcpus[0].stats["pf_taken"] == 0


def test_a_skewed_slot_has_no_huge_pages():
    assert runs.accesses("thp", count=4).counters.vm["pages_2m"] == 2
    assert runs.accesses("thp", count=4, skew_kib=4).counters.vm["pages_2m"] == 0


@pytest.mark.parametrize(("backing", "tables"), [("anon4k", 515), ("huge2m", 3), ("huge1g", 2)])
def test_a_gibibyte_takes_so_many_tables(backing, tables):
    vm = runs.touched(GIB, backing)
    assert vm.counters.counts["tables_allocated"] == tables
    assert vm.kvm.arch_state.tdp_mmu_pages.read_once() == tables - 1


@pytest.mark.parametrize("order", ["rising", "falling", "shuffled"])
def test_slots_are_the_same_in_any_order(order):
    vm = runs.slots(9, order)
    vm.check()
    assert [slot.id for slot in vm.kvm.memslots[0].read_once().slots_by_gfn()] == list(range(9))
    assert runs.generation(vm) == 18


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(
    ("what", "ids"),
    [
        ("create", [0, 1, 2, 3, 4, 5]),
        ("delete", [0, 1, 3, 4]),
        ("move", [0, 1, 3, 4, 2]),
        ("flags", [0, 1, 2, 3, 4]),
    ],
)
def test_changes_are_the_last_operation(kernel, what, ids):
    vm = runs.change(what, 5, kernel=kernel)
    vm.check()
    assert [slot.id for slot in vm.kvm.memslots[0].read_once().slots_by_gfn()] == ids
    assert Stepper(vm, view="slots", since=-1).last > 10


def test_what_one_host_page_unmaps_two_slots_lose():
    assert runs.alias().counters.vm["pages_4k"] == 2
    assert runs.outcome(runs.alias, "vm.pages_4k", since=-1, dropped=True)() == -2


def test_many_slots_keep_no_steps():
    vm = runs.many_slots(300)
    vm.check()
    assert not vm.trace.keeps_events
    assert len(vm.kvm.memslots[0].read_once().slots_by_gfn()) == 300


@pytest.mark.parametrize(
    ("run", "parameters"),
    [
        (runs.bare, {"memory": 5 * GIB}),
        (runs.first_access, {"access": "dance"}),
        (runs.accesses, {"count": 65}),
        (runs.accesses, {"count": 0}),
        (runs.slots, {"count": 65}),
        (runs.slots, {"order": "none"}),
        (runs.change, {"what": "resize"}),
        (runs.change, {"count": 0}),
    ],
)
def test_what_is_too_much_or_unknown_is_refused_with_what_was_expected(run, parameters):
    with pytest.raises(UsageError, match="expected"):
        run(**parameters)


def test_what_the_kernel_refuses_comes_through():
    with pytest.raises(KvmError, match="EINVAL"):
        runs.machine(memory=4096, skew=512)


def test_an_outcome_is_asked_for_when_it_is_needed():
    calls = []

    def run(**parameters):
        calls.append(parameters)
        return runs.change(**parameters)

    ask = runs.outcome(run, "count.swap_active_memslots", since=-1, what="delete")
    assert calls == []
    assert ask() == 2
    assert calls == [{"what": "delete"}]
    assert runs.outcome(run, "count.swap_active_memslots", what="delete")() == 7
    assert runs.outcome(run, runs.generation, what="delete")() == 14


@pytest.mark.parametrize(
    ("run", "controls"),
    [
        (runs.first_access, {"backing": ["anon4k", "thp"], "kernel": ["6.12", "6.1"]}),
        (runs.change, {"what": ["delete", "move"], "count": range(3, 8)}),
        (runs.accesses, {"count": range(1, 5), "skew_kib": [0, 4]}),
    ],
)
def test_controls_turn_their_parameters(run, controls):
    explorer = explore(run, **controls)
    explorer.set(**{name: values[-1] for name, values in controls.items()})
    assert explorer.help == ""
