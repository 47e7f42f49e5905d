"""A VM without page tables: the generic half of KVM over an x86 half that only takes notes."""

import pytest

from kvmmu_edu.choices import Choices, ModuleParams
from kvmmu_edu.errors import KvmError
from kvmmu_edu.sync.task import Scheduler
from kvmmu_edu.trace.recorder import EventTrace
from kvmmu_edu.virt import memslots
from kvmmu_edu.virt.kvm import Kvm
from kvmmu_edu.virt.set_memory_region import UserspaceMemoryRegion, vm_ioctl_set_memory_region

MIB = 1 << 20


class FakeArchSlot:
    """Stands for rmap arrays: a list of pointers that is copied as a struct is."""

    def __init__(self, rmap=()):
        self.rmap = list(rmap)

    def copy(self):
        return FakeArchSlot(self.rmap)


class FakeArch:
    """Notes each call; ``fail`` is the errno name that the next prepare answers with."""

    def __init__(self):
        self.calls = []
        self.fail = None
        self.during_flush = None
        self.young = False
        self.unmapped = True

    async def prepare_memory_region(self, kvm, old, new, change):
        kvm.slots_arch_lock.assert_held()
        self.calls.append(("prepare", change.name))
        if self.fail:
            name, self.fail = self.fail, None
            raise KvmError(name, "no memory for the arrays")
        if new is not None:
            new.arch = FakeArchSlot() if old is None else old.arch.copy()

    async def flush_shadow_memslot(self, kvm, slot):
        self.calls.append(("flush", slot.serial))
        if self.during_flush:
            self.during_flush(kvm, slot)

    async def commit_memory_region(self, kvm, old, new, change):
        self.calls.append(("commit", change.name))

    async def memslots_updated(self, kvm, generation):
        self.calls.append(("updated", generation))

    def free_memslot(self, kvm, slot):
        self.calls.append(("free", slot.serial))

    async def flush_shadow_all(self, kvm):
        self.calls.append(("flush_all",))

    async def sync_dirty_log(self, kvm, slot):
        self.calls.append(("sync", slot.id))

    async def unmap_gfn_range(self, kvm, gfn_range):
        kvm.mmu_lock.assert_held("write")
        self.calls.append(("unmap", gfn_range.slot.id, gfn_range.start, gfn_range.end))
        return self.unmapped

    async def age_gfn(self, kvm, gfn_range):
        kvm.mmu_lock.assert_held("write")
        self.calls.append(("age", gfn_range.slot.id, gfn_range.start, gfn_range.end))
        return self.young

    async def test_age_gfn(self, kvm, gfn_range):
        kvm.mmu_lock.assert_held("write")
        self.calls.append(("test", gfn_range.slot.id, gfn_range.start, gfn_range.end))
        return self.young

    async def mmu_enable_log_dirty_pt_masked(self, kvm, slot, gfn_offset, mask):
        kvm.mmu_lock.assert_held("write")
        self.calls.append(("masked", slot.id, gfn_offset, mask))


class FakeMm:
    """The host process, as far as a VM asks it: who wants to hear of changes."""

    def __init__(self):
        self.notifiers = []


def make_kvm(trace=None, sched=None, **choices):
    sched = sched or Scheduler()
    trace = trace or EventTrace()
    trace.attach(sched)
    kvm = Kvm(FakeMm(), Choices(**choices), ModuleParams(), sched, trace)
    kvm.arch = FakeArch()
    return kvm


def run(kvm, coro):
    return kvm.sched.run("kvmtrace", coro)


def ioctl(kvm, slot, gpa, size, flags=0, *, hva=None):
    """KVM_SET_USER_MEMORY_REGION; without *hva* that of the slot, or one made from the id."""
    if hva is None:
        old = memslots.id_to_memslot(memslots.memslots(kvm, slot >> 16), slot & 0xFFFF)
        hva = old.userspace_addr if old else 0x1000_0000_0000 + (slot << 24)
    mem = UserspaceMemoryRegion(slot, flags, gpa, size, hva)
    return run(kvm, vm_ioctl_set_memory_region(kvm, mem))


def delete(kvm, slot):
    return ioctl(kvm, slot, 0, 0)


def by_id(kvm, slot):
    return memslots.id_to_memslot(memslots.memslots(kvm, slot >> 16), slot & 0xFFFF)


def kinds(kvm, *wanted):
    """The events of those kinds, in order."""
    return [event for event in kvm.trace.events() if isinstance(event, wanted)]


def errno_of(function, *args, **kwargs):
    with pytest.raises(KvmError) as caught:
        function(*args, **kwargs)
    return caught.value.name
