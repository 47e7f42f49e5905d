"""Fixtures of the x86 half: VMs with memory, and guests that touch it."""

import pytest

from kvmmu_edu import Choices, ModuleParams, Vm
from kvmmu_edu.x86.mmu_state import mmu_of

GPA = 0x400000


class Machine:
    """A VM with one slot, one vCPU and its memory populated."""

    def __init__(
        self,
        kind="anon4k",
        nbytes=8 << 20,
        *,
        flags=0,
        kernel="6.12",
        populate=True,
        paging="npt",
        params=None,
        flush_on_zap="batched",
        **options,
    ):
        options.setdefault("trace", "events")
        options.setdefault("hugepages2m", 8)
        options.setdefault("hugepages1g", 1)
        choices = Choices(kernel=kernel, paging=paging, flush_on_zap=flush_on_zap)
        self.vm = Vm(choices=choices, params=params or ModuleParams(), **options)
        self.nbytes = nbytes
        self.hva = self.vm.host.mmap("A", kind, nbytes)
        if populate:
            self.vm.host.populate(self.hva, nbytes)
        self.flags(flags)
        self.vcpu = self.vm.create_vcpu()

    def flags(self, flags):
        self.vm.set_user_memory_region(0, flags, GPA, self.nbytes, self.hva)

    def delete(self):
        self.vm.set_user_memory_region(0, 0, GPA, 0, self.hva)

    @property
    def mmu(self):
        return mmu_of(self.vm.kvm)

    @property
    def kvm(self):
        return self.vm.kvm

    @property
    def stats(self):
        return self.vm.counters.vm

    def pages(self):
        return tuple(self.stats[name] for name in ("pages_4k", "pages_2m", "pages_1g"))

    def run(self, work):
        return self.vm.run(work)

    def events(self, kind):
        return [event for event in self.vm.trace.events() if isinstance(event, kind)]

    def leaf(self, gpa):
        """Return (spte, level) of the entry that maps *gpa*."""
        from kvmmu_edu.x86.tdp_iter import for_each_tdp_pte

        for it in for_each_tdp_pte(self.mmu, self.vcpu.state.arch.root, gpa >> 12):
            last = (it.old_spte, it.level)
        return last


@pytest.fixture
def machine():
    made = []

    def make(*args, **options):
        made.append(Machine(*args, **options))
        return made[-1]

    yield make
    for one in made:
        one.vm.check()
        one.vm.destroy()
