"""What a CPU remembers of page tables may be stale: what happens if nobody tells it.

Each of these tests is run twice.  With the code as it is, the guest reaches its own memory.
With one step of it left out or in the wrong place, an access of the guest reaches a page that
was given away: a frame that the host gave to somebody else, or a page table that was freed.
"""

import pytest

from kvmmu_edu import InvariantError, KernelBug, ModuleParams, Vm
from kvmmu_edu.sync.task import READY, Checkpoint, Scheduler, Suspend
from kvmmu_edu.virt import dirty_log, mmu_invalidate, mmu_notifier, set_memslot
from kvmmu_edu.virt.set_memory_region import UserspaceMemoryRegion, vm_ioctl_set_memory_region
from kvmmu_edu.x86 import fault, nx_recovery, resched, spte_gate, tdp_mmu, tdp_zap
from kvmmu_edu.x86.guest import touch
from kvmmu_edu.x86.mmu_state import mmu_of
from kvmmu_edu.x86.run import vcpu_run

PAGE = 4096
MIB2 = 2 << 20
GPA = 4 << 20
OTHER_GPA = 16 << 20
OURS, THEIRS = 0x1111, 0x2222
LOG = 1

code = pytest.mark.parametrize("wrong", [False, True], ids=["right", "wrong"])


class Stops(Scheduler):
    """Lets a task stop at the points that are named; walks may be asked to give way."""

    def __init__(self):
        super().__init__()
        self.names = ()
        self.hurried = False

    def checkpoint(self, *touches):
        return Suspend((Checkpoint(touches),)) if touches[0] in self.names else READY

    def need_resched(self):
        return self.hurried


class World:
    """Two vCPUs; "ours" is guest memory at GPA, "other" at OTHER_GPA, "theirs" is no guest's."""

    def __init__(self, kind="anon4k", *, flags=0, params=None, populate=True):
        self.sched = Stops()
        self.vm = Vm(sched=self.sched, params=params or ModuleParams())
        self.kvm = self.vm.kvm
        self.ours = self.vm.host.mmap("ours", kind, 2 * MIB2)
        self.other = self.vm.host.mmap("other", "anon4k", 2 * MIB2)
        self.theirs = self.vm.host.mmap("theirs", "anon4k", 2 * MIB2)
        if populate:
            self.vm.host.populate(self.ours, 2 * MIB2)
        self.set_flags(flags)
        self.vm.set_user_memory_region(1, 0, OTHER_GPA, 2 * MIB2, self.other)
        self.one, self.two = self.vm.create_vcpu(), self.vm.create_vcpu()

    def set_flags(self, flags):
        self.vm.set_user_memory_region(0, flags, GPA, 2 * MIB2, self.ours)

    def give_away(self, npages=1):
        """Let the host take the first pages of ours back, and somebody else get their frames."""
        self.vm.host.madvise(self.ours, npages * PAGE, "dontneed")
        for page in range(npages):
            self.vm.host.write(self.theirs + page * PAGE, THEIRS)

    def robbed(self, page=0):
        """Return whether somebody else's page is no longer what they wrote."""
        return self.vm.host.read(self.theirs + page * PAGE) != THEIRS

    def spawn_guest(self, vcpu, *instructions):
        return self.sched.spawn(vcpu.name, vcpu_run(vcpu.state, instructions, []))

    def step_to(self, task, name):
        """Let *task* run to the next point of that name."""
        self.sched.names = (name,)
        while True:
            assert self.sched.step(task)
            if isinstance(task.request, Checkpoint) and task.request.touches[0] == name:
                return

    def finish(self, *tasks):
        self.sched.names, self.sched.hurried = (), False
        left = [task for task in tasks if not task.done]
        if left:
            self.sched.run_all(*left)
        self.kvm.rcu.run_callbacks()


@pytest.fixture
def no_flush(monkeypatch):
    """Return a function that makes a module's flushes do nothing."""

    def leave_out(module, name):
        assert hasattr(module, name)
        monkeypatch.setattr(module, name, lambda *_arguments: None)

    return leave_out


# --- a flush is left out -------------------------------------------------------------------------


@code
def test_flush_of_the_notifier(wrong, no_flush):
    world = World()
    world.one.write(GPA, OURS)
    if wrong:
        no_flush(mmu_notifier, "flush_remote_tlbs")
    world.give_away()
    world.one.write(GPA, OURS)
    assert world.robbed() == wrong
    if not wrong:
        world.vm.check()


@code
def test_flush_before_giving_way(wrong, monkeypatch):
    """The walk says that it has flushed, and so its caller owes no flush any more."""
    world = World()
    world.one.write(GPA + MIB2, OURS)
    world.vm.host.madvise(world.ours + MIB2, PAGE, "dontneed")
    world.one.write(GPA, OURS)
    world.sched.hurried = True
    if wrong:
        right = resched.tdp_mmu_iter_cond_resched

        async def forgets(mmu, it, *, flush, shared):
            return await right(mmu, it, flush=False, shared=shared)

        monkeypatch.setattr(tdp_zap, "tdp_mmu_iter_cond_resched", forgets)
    # the first page is zapped; the walk gives way at the second table, which is empty
    world.give_away(2 * MIB2 // PAGE)
    world.one.write(GPA, OURS)
    assert world.robbed() == wrong


@code
@pytest.mark.parametrize("recycled", [False, True])
def test_flush_of_a_zapped_table(wrong, recycled, no_flush):
    """Logging stops, and the tables of small pages are removed to make room for huge ones."""
    world = World("thp", flags=LOG)
    world.one.write(GPA, OURS)
    if wrong:
        no_flush(spte_gate, "flush_remote_tlbs_range")
    world.set_flags(0)
    if wrong:
        with pytest.raises(InvariantError, match="the TLB of vCPU 0 maps page 0x400"):
            world.vm.check()
    if recycled:
        # the table translates other frames now
        world.two.write(OTHER_GPA + 5 * PAGE, THEIRS)
    if wrong and not recycled:
        with pytest.raises(KernelBug, match=r"through page table \d+, which was freed"):
            world.one.write(GPA + 5 * PAGE, OURS)
        return
    world.one.write(GPA + 5 * PAGE, OURS)
    assert world.vm.host.read(world.ours + 5 * PAGE) == (0 if wrong else OURS)
    if recycled:
        assert world.vm.host.read(world.other + 5 * PAGE) == (OURS if wrong else THEIRS)


@code
def test_flush_when_a_leaf_replaces_a_table(wrong, no_flush, monkeypatch):
    """Logging was switched off, and a fault is quicker than the removal of small pages."""
    world = World("thp", flags=LOG)
    world.one.write(GPA, OURS)
    if wrong:
        no_flush(tdp_mmu, "flush_remote_tlbs_range")
    stops_after(monkeypatch, world, set_memslot, "update_flags_memslot", "published")
    ioctl = world.sched.spawn("kvmtrace", _stop_logging(world))
    world.step_to(ioctl, "published")
    # vCPU 1 maps 2M where the table of small pages was
    world.two.write(GPA + PAGE, OURS)
    world.kvm.rcu.run_callbacks()
    assert world.vm.counters.vm["pages_2m"] == 1
    if wrong:
        with pytest.raises(KernelBug, match="which was freed"):
            world.one.read(GPA + 2 * PAGE)
    else:
        world.one.read(GPA + 2 * PAGE)
    world.finish(ioctl)
    if not wrong:
        world.vm.check()


async def _stop_logging(world):
    region = UserspaceMemoryRegion(0, 0, GPA, 2 * MIB2, world.ours)
    await vm_ioctl_set_memory_region(world.kvm, region)


@code
def test_flush_of_the_dirty_log(wrong, no_flush):
    """No page is given away here, but a write is lost: the copy of the guest is incomplete."""
    world = World(flags=LOG)
    world.one.write(GPA, OURS)
    if wrong:
        no_flush(dirty_log, "flush_remote_tlbs_memslot")
    assert world.vm.get_dirty_log(0)[0] == 1
    world.one.write(GPA, OURS + 1)
    assert world.vm.get_dirty_log(0)[0] == (0 if wrong else 1)


# --- a flush comes after the RCU section ---------------------------------------------------------


async def _flush_under_lock(kvm, *, flush):
    """Give way as before 5.18: the RCU section ends first."""
    kvm.rcu.read_unlock()
    await kvm.sched.checkpoint("between")
    if flush:
        nx_recovery.flush_remote_tlbs(kvm, "wrong")
    await kvm.mmu_lock.write.__aexit__()
    await kvm.sched.checkpoint("mmu_lock")
    await kvm.mmu_lock.write.__aenter__()
    kvm.rcu.read_lock()


async def _flush_at_the_end(kvm, *, flush):
    """Give way with a flush pending."""
    kvm.rcu.read_unlock()
    await kvm.mmu_lock.write.__aexit__()
    await kvm.sched.checkpoint("mmu_lock")
    await kvm.mmu_lock.write.__aenter__()
    kvm.rcu.read_lock()
    if flush:
        nx_recovery.flush_remote_tlbs(kvm, "wrong")


@pytest.fixture
def recovering():
    """A guest on vCPU 0 that runs in small pages because of NX, and a worker that zaps them."""
    params = ModuleParams(nx_huge_pages="force", nx_huge_pages_recovery_ratio=1)
    world = World("thp", params=params)
    world.one.exec(GPA)
    guest = world.spawn_guest(world.one, touch("read", GPA), touch("write", GPA + 5 * PAGE, OURS))
    # it has read, and is in the guest, about to write
    world.step_to(guest, "guest")
    world.step_to(guest, "guest")
    world.sched.hurried = True
    worker = world.sched.spawn("kvm-nx", nx_recovery.recover_nx_huge_pages(mmu_of(world.kvm)))
    return world, guest, worker


@code
def test_flush_after_the_rcu_section(wrong, recovering, monkeypatch):
    """Between the two a grace period may end, and the table is freed."""
    world, guest, worker = recovering
    if wrong:
        monkeypatch.setattr(nx_recovery, "_give_way", _flush_under_lock)
    world.step_to(worker, "between" if wrong else "mmu_lock")
    world.kvm.rcu.run_callbacks()
    world.sched.names = ()
    if wrong:
        with pytest.raises(KernelBug, match="vCPU 0 walks to gfn 0x405 through page table"):
            world.sched.step(guest)
        return
    world.finish(guest, worker)
    assert world.vm.host.read(world.ours + 5 * PAGE) == OURS
    world.vm.check()


@code
def test_flush_after_the_rcu_section_and_the_lock(wrong, recovering, monkeypatch):
    """Once mmu_lock is free as well, the freed table becomes one for other frames."""
    world, guest, worker = recovering
    if wrong:
        monkeypatch.setattr(nx_recovery, "_give_way", _flush_at_the_end)
    world.step_to(worker, "mmu_lock")
    world.kvm.rcu.run_callbacks()
    world.sched.names = ()
    world.two.write(OTHER_GPA + 5 * PAGE, THEIRS)
    world.finish(guest, worker)
    assert world.vm.host.read(world.other + 5 * PAGE) == (OURS if wrong else THEIRS)
    assert (world.vm.host.read(world.ours + 5 * PAGE) == OURS) != wrong
    if not wrong:
        world.vm.check()


# --- a range is forgotten ------------------------------------------------------------------------


@code
def test_range_of_an_alias(wrong, monkeypatch):
    """Two slots show the same memory, and only one of them is unmapped."""
    world = World()
    world.vm.set_user_memory_region(2, 0, 32 << 20, MIB2, world.ours)
    world.one.write(32 << 20, OURS)
    world.one.write(GPA, OURS)
    if wrong:
        right = mmu_notifier.for_each_memslot_in_hva_range
        monkeypatch.setattr(
            mmu_notifier,
            "for_each_memslot_in_hva_range",
            lambda *arguments: [slot for slot in right(*arguments) if slot.id == 0],
        )
    world.give_away()
    world.one.write(32 << 20, OURS)
    assert world.robbed() == wrong


@code
def test_range_at_its_end(wrong, monkeypatch):
    """The last page of the range stays mapped."""
    world = World()
    world.one.write(GPA + PAGE, OURS)
    if wrong:
        right = mmu_notifier.gfns_in_hva_range

        def ends_early(slot, start, end):
            first, last = right(slot, start, end)
            return first, last - 1

        monkeypatch.setattr(mmu_notifier, "gfns_in_hva_range", ends_early)
    world.give_away(2)
    world.one.write(GPA + PAGE, OURS)
    assert world.robbed(1) == wrong


@code
def test_range_of_the_first_of_two_changes(wrong, monkeypatch):
    """A fault is under way, two changes begin; the second must not hide the range of the first."""
    world = World()
    if wrong:

        def only_the_last(kvm, start, end):
            kvm.mmu_invalidate_range_start, kvm.mmu_invalidate_range_end = start, end

        monkeypatch.setattr(mmu_notifier, "mmu_invalidate_range_add", only_the_last)
    stops_after(monkeypatch, world, fault, "faultin_pfn", "found")
    stops_after(monkeypatch, world, mmu_notifier.MmuNotifier, "invalidate_range_start", "begun")
    guest = world.spawn_guest(world.one, touch("write", GPA, OURS), touch("write", GPA, OURS))
    world.step_to(guest, "found")
    mm, changes = world.kvm.mm, []
    for hva in (world.ours, world.ours + MIB2):
        changes.append(world.sched.spawn("host", mm.madvise(hva, PAGE, "dontneed")))
        world.step_to(changes[-1], "begun")
    # the frame that the fault found is about to go, and the fault is about to map it
    world.sched.names = ("guest",)
    world.sched.step(guest)
    assert world.vm.counters.vm["pages_4k"] == wrong
    world.finish(*reversed(changes))
    world.vm.host.write(world.theirs, THEIRS)
    world.finish(guest)
    assert world.robbed() == wrong
    if not wrong:
        world.vm.check()


def stops_after(monkeypatch, world, owner, name, point):
    """Let tasks stop where a coroutine function returns."""
    right = getattr(owner, name)

    async def stops(*arguments):
        result = await right(*arguments)
        await world.sched.checkpoint(point)
        return result

    monkeypatch.setattr(owner, name, stops)


def test_what_is_patched_here_is_what_the_engine_calls():
    assert mmu_notifier.mmu_invalidate_range_add is mmu_invalidate.mmu_invalidate_range_add
    assert tdp_zap.tdp_mmu_iter_cond_resched is resched.tdp_mmu_iter_cond_resched
