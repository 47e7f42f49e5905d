"""What a change of entries owes is done: counted, told, taken apart."""

import numpy as np
import pytest

from kvmmu_edu.errors import KernelBug
from kvmmu_edu.trace.events import (
    Cause,
    FlushRemoteTlbs,
    FrozenSpteHandled,
    MmuPageFreed,
    PrepareZapPage,
    SpteChanged,
)
from kvmmu_edu.virt.requests import flush_remote_tlbs
from kvmmu_edu.x86 import spte_gate as gate
from kvmmu_edu.x86.tdp_iter import Span, for_each_tdp_pte
from tests.x86.conftest import GPA


def stand_on(machine, gpa, level):
    for it in for_each_tdp_pte(machine.mmu, machine.vcpu.state.arch.root, gpa >> 12):
        if it.level == level:
            return it
    raise AssertionError


def locked(machine, mode, make):
    """Run a coroutine with mmu_lock held and inside an RCU section."""

    async def work():
        lock = machine.kvm.mmu_lock
        async with lock.read if mode == "read" else lock.write:
            machine.kvm.rcu.read_lock()
            result = await make()
            flush_remote_tlbs(machine.kvm, "test")
            machine.kvm.rcu.read_unlock()
            return result

    return machine.run(work())


@pytest.fixture
def mapped(machine):
    made = machine(nbytes=8 << 20)
    for page in (0, 1, 2, 513):
        made.vcpu.write(GPA + page * 4096)
    return made


def test_a_lost_race_changes_nothing(mapped):
    it = stand_on(mapped, GPA, 1)
    mapped.mmu.arena.words[it.table * 512 + it.index] ^= 1 << 9
    before = mapped.pages()
    empty = mapped.mmu.fmt.SHADOW_NONPRESENT_VALUE
    done = locked(
        mapped, "read", lambda: gate.tdp_mmu_set_spte_atomic(mapped.mmu, it, empty, Cause.ZAP)
    )
    assert not done
    assert it.old_spte == mapped.leaf(GPA)[0]
    assert mapped.pages() == before


def test_an_exclusive_change_keeps_what_the_cpu_set(mapped):
    it = stand_on(mapped, GPA, 1)
    seen = it.old_spte
    mapped.mmu.arena.words[it.table * 512 + it.index] = now = seen ^ 1 << 5
    empty = mapped.mmu.fmt.SHADOW_NONPRESENT_VALUE
    locked(mapped, "write", lambda: gate.tdp_mmu_iter_set_spte(mapped.mmu, it, empty, Cause.ZAP))
    assert it.old_spte == now
    assert mapped.events(SpteChanged)[-1].old == now


@pytest.mark.parametrize("mode", ["read", "write"])
def test_a_removed_table_is_taken_apart(mapped, mode):
    it = stand_on(mapped, GPA, 3)
    empty = mapped.mmu.fmt.SHADOW_NONPRESENT_VALUE
    counted = mapped.mmu.tdp_mmu_pages.read_once()
    set_spte = gate.tdp_mmu_set_spte_atomic if mode == "read" else gate.tdp_mmu_iter_set_spte
    locked(mapped, mode, lambda: set_spte(mapped.mmu, it, empty, Cause.ZAP))
    assert mapped.pages() == (0, 0, 0)
    assert mapped.mmu.tdp_mmu_pages.read_once() == counted - 3
    assert [event.level for event in mapped.events(PrepareZapPage)] == [2, 1, 1]
    assert sorted(event.table for event in mapped.events(MmuPageFreed)) == [3, 4, 5]


def test_a_present_leaf_may_not_move(mapped):
    it = stand_on(mapped, GPA, 1)
    other = it.old_spte + (1 << 12)
    with pytest.raises(KernelBug, match="without a zap between"):
        locked(
            mapped, "write", lambda: gate.tdp_mmu_iter_set_spte(mapped.mmu, it, other, Cause.MAP)
        )
    # put it right, so that the machine can be checked
    mapped.kvm.mmu_lock.writer = None
    mapped.mmu.arena.words[it.table * 512 + it.index] = it.old_spte
    mapped.kvm.rcu.readers.clear()


@pytest.mark.parametrize(
    ("kernel", "order"),
    [
        ("6.12", [Cause.ZAP_FREEZE, "flush", Cause.THAW, "handled", "removed"]),
        ("6.1", [Cause.ZAP, "removed", "flush", Cause.THAW]),
    ],
)
def test_a_zap_that_flushes(machine, kernel, order):
    made = machine(kernel=kernel)
    made.vcpu.write(GPA)
    it = stand_on(made, GPA, 2)
    start = len(made.vm.trace.records)
    assert locked(made, "read", lambda: gate.tdp_mmu_zap_spte_atomic(made.mmu, it))
    names = {FlushRemoteTlbs: "flush", FrozenSpteHandled: "handled", PrepareZapPage: "removed"}
    told = []
    for record in made.vm.trace.records[start:]:
        event = record.event
        if isinstance(event, FlushRemoteTlbs) and event.caller == "test":
            break
        if isinstance(event, SpteChanged) and event.level == 2:
            told.append(event.cause)
        elif type(event) in names:
            told.append(names[type(event)])
    assert told == order
    assert made.stats["remote_tlb_flush_requests"] == 2
    assert made.pages() == (0, 0, 0)


def test_quiet_changes_map_nothing(mapped):
    it = stand_on(mapped, GPA, 1)
    before = mapped.pages()
    gate.change_quietly(mapped.mmu, it, old=it.old_spte, new=it.old_spte & ~2, cause=Cause.CPU)
    assert mapped.pages() == before
    assert not mapped.leaf(GPA)[0] & 2


def test_count():
    assert gate.count(True) == 1
    assert gate.count(np.array([True, False, True])) == 2


def test_unlinking_forgets_nx(mapped):
    table = stand_on(mapped, GPA, 1).table
    mapped.mmu.arena.nx_huge_page_disallowed[table] = True
    mapped.mmu.possible_nx_huge_pages[table] = None
    mapped.vm.counters.vm["nx_lpage_splits"] = 1
    it = stand_on(mapped, GPA, 2)
    empty = mapped.mmu.fmt.SHADOW_NONPRESENT_VALUE
    locked(mapped, "read", lambda: gate.tdp_mmu_set_spte_atomic(mapped.mmu, it, empty, Cause.ZAP))
    assert not mapped.mmu.possible_nx_huge_pages
    assert mapped.stats["nx_lpage_splits"] == 0
    assert mapped.vm.counters.locks["tdp_mmu_pages_lock", "lock"] == 2


@pytest.mark.parametrize(("scheme", "flushes"), [("batched", 0), ("per_table", 2)])
@pytest.mark.parametrize("grain", [512, 4096])
def test_who_flushes_for_removed_tables(machine, scheme, flushes, grain):
    made = machine(nbytes=8 << 20, grain=grain, flush_on_zap=scheme)
    for page in (0, 513):
        made.vcpu.write(GPA + page * 4096)
    it = stand_on(made, GPA, 3)
    empty = made.mmu.fmt.SHADOW_NONPRESENT_VALUE
    locked(made, "write", lambda: gate.tdp_mmu_iter_set_spte(made.mmu, it, empty, Cause.ZAP))
    callers = [event.caller for event in made.events(FlushRemoteTlbs)]
    # the table of 2M entries, and the two below it
    assert callers.count("handle_removed_tdp_mmu_page") == (flushes and flushes + 1)
    assert callers[-1] == "test"


def test_one_entry_is_replaced_without_a_walk(mapped):
    it = stand_on(mapped, GPA, 1)
    span = Span(it.table, it.index, it.gfn, 1, 0)
    empty = mapped.mmu.fmt.SHADOW_NONPRESENT_VALUE
    locked(mapped, "write", lambda: gate.tdp_mmu_set_spte(mapped.mmu, span, empty, Cause.ZAP))
    assert mapped.mmu.arena.read(it.table, it.index) == empty
    assert mapped.pages() == (3, 0, 0)
