from kvmmu_edu.trace.stats import VCPU_STATS, VM_STATS, Counters
from kvmmu_widgets import runs
from kvmmu_widgets.counted import MEANINGS, flat_change, meaning
from kvmmu_widgets.excerpt import split_at


def test_parts_add_up_to_the_counters_of_the_vm():
    vm = runs.read_then_write()
    before, shown = split_at(vm.trace.records, -1)
    parts = [flat_change([], before), flat_change(before, shown)]
    total = {name: sum(part.get(name, 0) for part in parts) for name in parts[0] | parts[1]}
    assert total == {name: n for name, n in vm.counters.flat().items() if n}


def test_nothing_moved_is_nothing():
    assert flat_change([], []) == {}


def test_meanings_name_counters_that_exist():
    flat = Counters()
    names = {f"vm.{name}" for name in VM_STATS} | set(VCPU_STATS) | set(flat.flat())
    assert set(MEANINGS) <= names


def test_a_counter_without_a_meaning_has_an_empty_one():
    assert meaning("vm.mmu_flooded") == ""
    assert meaning("v0.pf_taken") == MEANINGS["pf_taken"]
