"""Work by reverse maps: write protection, notifiers, aging, giving way."""

import pytest

from kvmmu_edu import ModuleParams
from kvmmu_edu.trace.events import FlushRemoteTlbs, ShadowSpteChanged
from kvmmu_edu.virt.arch import GfnRange
from kvmmu_edu.virt.memslots import id_to_memslot, memslots
from kvmmu_edu.virt.requests import flush_remote_tlbs
from kvmmu_edu.x86 import rmap_walk
from tests.x86.conftest import GPA

BOTH = pytest.mark.parametrize("kernel", ["6.12", "6.1"])
LOG_DIRTY = 1


@pytest.fixture
def legacy(machine):
    def make(*args, **options):
        return machine(*args, params=ModuleParams(tdp_mmu=False), **options)

    return make


def slot_of(made):
    return id_to_memslot(memslots(made.kvm), 0)


def flushes(made):
    return len(made.events(FlushRemoteTlbs))


def test_pages_come_by_size_and_then_by_frame(legacy):
    made = legacy("thp", nbytes=8 << 20)
    made.vcpu.read(GPA + (4 << 20))
    made.vcpu.read(GPA)
    made.flags(LOG_DIRTY)
    made.vcpu.write(GPA + (2 << 20) + 0x3000)
    made.vcpu.write(GPA + (2 << 20) + 0x1000)
    places = rmap_walk.for_each_slot_rmap_range(slot_of(made), (1, 3), 0x400, 0xC00)
    assert [(p.level, p.gfn) for p in places] == [(1, 0x601), (1, 0x603), (2, 0x400), (2, 0x800)]
    # a large page that reaches into the range is met
    places = rmap_walk.for_each_slot_rmap_range(slot_of(made), (1, 3), 0x480, 0x481)
    assert [(p.level, p.gfn) for p in places] == [(2, 0x400)]


@BOTH
def test_logging_takes_write_access_and_flushes_once(legacy, kernel):
    made = legacy(kernel=kernel)
    made.vcpu.write(GPA)
    made.flags(LOG_DIRTY)
    assert flushes(made) == 1
    for page in range(8):
        leaf, _ = made.leaf(GPA + page * 4096)
        assert leaf & 0x402 == 0x400
    # eager splitting is of the TDP MMU alone
    assert made.pages() == (8, 0, 0)


@BOTH
def test_when_logging_ends_small_pages_of_huge_ones_go_with_one_flush(legacy, kernel):
    made = legacy("thp", kernel=kernel, flags=LOG_DIRTY)
    for page in (0, 1, 512, 1024):
        made.vcpu.write(GPA + page * 4096)
    assert made.pages() == (4, 0, 0)
    before = flushes(made)
    made.flags(0)
    assert made.pages() == (0, 0, 0)
    assert flushes(made) == before + 1


def test_small_pages_that_cannot_be_larger_stay(legacy):
    made = legacy(flags=LOG_DIRTY)
    made.vcpu.write(GPA)
    made.flags(0)
    assert made.pages() == (1, 0, 0)


@BOTH
def test_a_notifier_takes_what_maps_its_range(legacy, kernel):
    made = legacy("thp", kernel=kernel)
    made.vcpu.write(GPA)
    made.vcpu.write(GPA + (2 << 20))
    made.vm.host.munmap(made.hva, 2 << 20)
    assert made.pages() == (0, 1, 0)
    assert flushes(made) == 1


@BOTH
def test_aging_clears_the_accessed_bits(legacy, kernel):
    made = legacy(kernel=kernel)
    made.vcpu.read(GPA)
    whole = GfnRange(slot_of(made), 0x400, 0xC00)
    arch = made.kvm.arch
    assert made.run(arch.test_age_gfn(made.kvm, whole))
    assert made.run(arch.age_gfn(made.kvm, whole))
    assert not made.run(arch.test_age_gfn(made.kvm, whole))
    assert not made.run(arch.age_gfn(made.kvm, whole))
    assert [e.gfn for e in made.events(ShadowSpteChanged) if e.cause.name == "AGE"] == [0x400]


def test_initially_set_logging_takes_huge_pages_for_good(legacy):
    made = legacy("thp")
    made.vm.enable_cap(168, 3)
    made.vcpu.write(GPA)
    made.flags(LOG_DIRTY)
    assert made.leaf(GPA)[0] & 0x402 == 0x402
    words = made.vm.get_dirty_log(0)[:1].copy()
    made.vm.clear_dirty_log(0, 0, 64, words)
    # nothing is split, and no fast page fault may undo it
    assert made.leaf(GPA)[0] & 0x402 == 0
    made.vcpu.write(GPA)
    assert made.vcpu.stats["pf_fast"] == 0
    assert made.pages() == (1, 0, 0)


@pytest.mark.parametrize("flush_on_yield", [True, False])
def test_a_walk_gives_way_after_what_it_owes(legacy, flush_on_yield, monkeypatch):
    made = legacy()
    made.vcpu.write(GPA)
    monkeypatch.setattr(made.kvm.sched, "need_resched", lambda: True)
    taken = dict(made.vm.counters.locks)

    async def work():
        async with made.kvm.mmu_lock.write:
            return await rmap_walk.walk_slot_rmaps(
                made.mmu, slot_of(made), rmap_walk._zap_rmap, (1, 3), flush_on_yield=flush_on_yield
            )

    owed = made.run(work())
    done = flushes(made)
    if owed:
        flush_remote_tlbs(made.kvm, "the test")
    assert made.pages() == (0, 0, 0)
    assert made.vm.counters.locks["mmu_lock", "write"] - taken["mmu_lock", "write"] == 9
    assert (owed, done) == ((False, 8) if flush_on_yield else (True, 0))
