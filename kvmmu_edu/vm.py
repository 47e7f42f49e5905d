"""The way in: one method for each ioctl, plain calls that return.

A :class:`Vm` runs each call as a task to its end.  Whoever wants to interleave calls takes
the coroutines below (``kvmmu_edu.virt``, ``kvmmu_edu.x86``) and a driver of their own.

    >>> from kvmmu_edu import Vm
    >>> vm = Vm()
    >>> hva = vm.host.mmap("A", "anon4k", 1 << 20)
    >>> vm.set_user_memory_region(0, 0, 0x100000, 1 << 20, hva)
    >>> vcpu = vm.create_vcpu()
    >>> vcpu.write(0x100000)
    []
    >>> vm.counters.vm["pages_4k"], vcpu.stats["pf_fixed"]
    (1, 1)
"""

import hashlib
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from kvmmu_edu import checks
from kvmmu_edu.choices import Choices, ModuleParams
from kvmmu_edu.errors import InvariantError, KvmError, UsageError, expect_unsigned
from kvmmu_edu.host.mm import Mm, ThpMode
from kvmmu_edu.host_process import HostProcess
from kvmmu_edu.sync.task import Coro, Scheduler
from kvmmu_edu.trace.events import OperationBegin, OperationEnd
from kvmmu_edu.trace.recorder import EventTrace, StepTrace, Trace
from kvmmu_edu.trace.stats import VCPU_STATS, Counters
from kvmmu_edu.units import Gpa, Hva
from kvmmu_edu.vcpu import Vcpu
from kvmmu_edu.virt import dirty_log
from kvmmu_edu.virt.dirty_ring import DirtyRing, vm_ioctl_reset_dirty_pages
from kvmmu_edu.virt.kvm import Kvm
from kvmmu_edu.virt.mmu_notifier import init_mmu_notifier
from kvmmu_edu.virt.set_memory_region import (
    UserspaceMemoryRegion,
    describe_region,
    vm_ioctl_set_memory_region,
)
from kvmmu_edu.virt.vcpu import REQ_TLB_FLUSH_GUEST, KvmVcpu
from kvmmu_edu.x86 import caps, module_params
from kvmmu_edu.x86.arch import X86
from kvmmu_edu.x86.check_extension import MAX_VCPUS, check_extension
from kvmmu_edu.x86.guest import Guest
from kvmmu_edu.x86.mmu import VcpuArch, mmu_free_roots
from kvmmu_edu.x86.mmu_state import DEFAULT_GRAIN, MmuState, mmu_of
from kvmmu_edu.x86.nx_recovery import mmu_pre_destroy_vm, mmu_start_lpage_recovery
from kvmmu_edu.x86.rmaps_stat import mmu_rmaps_stat_show
from kvmmu_edu.x86.shadow_zap import shadow_zap_all, vm_ioctl_set_nr_mmu_pages
from kvmmu_edu.x86.tdp_roots import tdp_mmu_invalidate_all_roots
from kvmmu_edu.x86.tdp_zap import tdp_mmu_zap_all, tdp_mmu_zap_invalidated_roots

T = TypeVar("T")

_TRACES = {"none": Trace, "events": EventTrace, "steps": StepTrace}


class Vm:
    """A virtual machine and the host process that owns it.

    :param choices: the kernel to model
    :param params: the parameters of its modules
    :param trace: ``"none"`` (counters only), ``"events"``, ``"steps"`` (with source lines), or
        a sink of your own
    :param grain: how many page-table entries a walk may handle at once: 1 to see each
    :param thp: the host's setting of transparent huge pages
    :param hugepages2m: 2 MiB pages that the host has set aside
    :param hugepages1g: 1 GiB pages that the host has set aside
    :param tlb_empty_at_entry: whether vCPUs start each entry with an empty TLB
    :param sched: who runs the tasks, if they shall take turns in another way
    """

    def __init__(
        self,
        *,
        choices: Choices | None = None,
        params: ModuleParams | None = None,
        trace: Trace | str = "none",
        grain: int = DEFAULT_GRAIN,
        thp: ThpMode = "madvise",
        hugepages2m: int = 0,
        hugepages1g: int = 0,
        tlb_empty_at_entry: bool = False,
        sched: Scheduler | None = None,
    ) -> None:
        """Make a VM without memory and without vCPUs.

        In v6.1: the worker that recovers NX huge pages is started here.
        """
        choices, params = choices or Choices(), params or ModuleParams()
        _refuse_unmodelled(params)
        if grain < 1:
            raise UsageError(f"grain is {grain}; expected 1 or more entries at once")
        sched = sched or Scheduler()
        self.trace = _trace_named(trace)
        self.trace.attach(sched)
        mm = Mm(
            self.trace,
            thp=thp,
            hugepages2m=expect_unsigned("hugepages2m", hugepages2m, 32),
            hugepages1g=expect_unsigned("hugepages1g", hugepages1g, 32),
            kernel=choices.kernel,
            sched=sched,
        )
        self.kvm = Kvm(mm, choices, params, sched, self.trace)
        self.kvm.arch = X86()
        self.kvm.arch_state = MmuState(self.kvm, grain)
        init_mmu_notifier(self.kvm)
        if choices.is_6_1:
            mmu_start_lpage_recovery(self.kvm)
        self.host = HostProcess(self)
        self.vcpus: list[Vcpu] = []
        self._tlb_empty_at_entry = tlb_empty_at_entry
        self._operations = 0
        self._inside_operation = False

    @property
    def counters(self) -> Counters:
        """All that was counted so far."""
        return self.trace.counters

    # --- running -------------------------------------------------------------------------

    def run(self, work: Coro[T], text: str = "", *, task: str = "kvmtrace") -> T:
        """Run *work* as a task to its end and return its result.

        :param text: how a timeline calls this; "" if it is part of an operation
        """
        whole = bool(text) and not self._inside_operation
        if whole:
            self._operations += 1
            if self.trace.keeps_events:
                self.trace.emit(OperationBegin, self._operations, text)
        try:
            return self.kvm.sched.run(task, work)
        finally:
            if self.kvm.rcu.callbacks:
                self.kvm.rcu.run_callbacks()
            if whole and self.trace.keeps_events:
                self.trace.emit(OperationEnd, self._operations)

    @contextmanager
    def operation(self, text: str) -> Iterator[int]:
        """Mark what happens inside as one operation of the user's; yields its number."""
        self._operations += 1
        n = self._operations
        self._inside_operation = True
        self.trace.emit(OperationBegin, n, text)
        try:
            yield n
        finally:
            self.trace.emit(OperationEnd, n)
            self._inside_operation = False

    def advance(self, ms: int) -> None:
        """Let *ms* milliseconds pass; workers whose time has come run."""
        self.kvm.clock.advance(expect_unsigned("ms", ms, 64))
        self.kvm.rcu.run_callbacks()

    # --- ioctls of the VM ------------------------------------------------------------------

    def set_user_memory_region(
        self, slot: int, flags: int, guest_phys_addr: Gpa, memory_size: int, userspace_addr: Hva
    ) -> None:
        """Create, delete (size 0), move or change a memory slot.

        :param slot: the id; the address space in bits 16 and up
        :param flags: 1 log dirty pages, 2 read-only
        :param memory_size: bytes
        :raises KvmError: what the kernel would refuse, with its errno
        :raises UsageError: a number that is negative, or larger than its field of the ioctl

        Kernel: kvm_vm_ioctl_set_memory_region(), virt/kvm/kvm_main.c (v6.12)
        """
        region = UserspaceMemoryRegion(
            expect_unsigned("slot", slot, 32),
            expect_unsigned("flags", flags, 32),
            expect_unsigned("guest_phys_addr", guest_phys_addr, 64),
            expect_unsigned("memory_size", memory_size, 64),
            expect_unsigned("userspace_addr", userspace_addr, 64),
        )
        text = describe_region(self.kvm, region)
        self.run(vm_ioctl_set_memory_region(self.kvm, region), text)

    def get_dirty_log(self, slot: int) -> NDArray[np.uint64]:
        """Return a slot's dirty bitmap, 64 pages a word, and (unless manual) start anew.

        :raises KvmError: EINVAL, no such id; ENOENT, no such slot or not logged

        Kernel: kvm_vm_ioctl_get_dirty_log(), virt/kvm/kvm_main.c (v6.12)
        """
        return self.run(dirty_log.vm_ioctl_get_dirty_log(self.kvm, slot), f"dirty-get {slot}")

    def clear_dirty_log(
        self, slot: int, first_page: int, num_pages: int, words: NDArray[np.uint64]
    ) -> None:
        """Clear the bits that are set in *words* and catch the next writes to these pages.

        :param first_page: a multiple of 64
        :param words: one bit a page, from *first_page* on
        :raises KvmError: EINVAL, ENOENT

        Kernel: kvm_vm_ioctl_clear_dirty_log(), virt/kvm/kvm_main.c (v6.12)
        """
        work = dirty_log.vm_ioctl_clear_dirty_log(self.kvm, slot, first_page, num_pages, words)
        self.run(work, f"dirty-clear {slot} {first_page} {num_pages}")

    def reset_dirty_rings(self) -> int:
        """Give back what was collected from the dirty rings; return how many entries that were.

        The next write to each of these pages is seen again.

        :raises KvmError: EINVAL, this VM has no dirty rings

        Kernel: kvm_vm_ioctl_reset_dirty_pages(), virt/kvm/kvm_main.c (v6.12)
        """
        return self.run(vm_ioctl_reset_dirty_pages(self.kvm), "ringreset")

    def check_extension(self, cap: int) -> int:
        """Return what the kernel says of a capability.

        Kernel: kvm_vm_ioctl_check_extension(), arch/x86/kvm/x86.c (v6.12)
        """
        return check_extension(self.kvm, cap)

    def enable_cap(self, cap: int, *args: int) -> int:
        """Switch a capability on.

        :raises KvmError: EINVAL; EPERM without CAP_SYS_BOOT, where that is needed

        Kernel: kvm_vm_ioctl_enable_cap(), arch/x86/kvm/x86.c (v6.12)
        """
        return self.run(caps.vm_ioctl_enable_cap(self.kvm, cap, args), f"cap {cap}")

    def set_nr_mmu_pages(self, npages: int) -> None:
        """Limit the number of shadow pages; the TDP MMU's tables do not count.

        :raises KvmError: EINVAL, fewer than 64

        Kernel: kvm_vm_ioctl_set_nr_mmu_pages(), arch/x86/kvm/x86.c (v6.12)
        """
        self.run(vm_ioctl_set_nr_mmu_pages(self.kvm, npages), f"maxmmu {npages}")

    def create_vcpu(self, guest: Guest | None = None) -> Vcpu:
        """Make a vCPU; *guest* says how its guest translates addresses.

        :raises KvmError: EINVAL, too many

        Kernel: kvm_vm_ioctl_create_vcpu(), virt/kvm/kvm_main.c (v6.12)
        In v6.1: a new vCPU owes no TLB flush.
        """
        kvm = self.kvm
        if len(kvm.vcpus) >= MAX_VCPUS[kvm.choices.kernel]:
            raise KvmError("EINVAL", f"{len(kvm.vcpus)} vCPUs are the most that this kernel allows")
        state = KvmVcpu(kvm, len(kvm.vcpus))
        state.arch = VcpuArch(state, guest or Guest(), tlb_empty_at_entry=self._tlb_empty_at_entry)
        if kvm.dirty_ring_size:
            state.dirty_ring = DirtyRing(kvm.dirty_ring_size)
        # setting the registers of a new vCPU resets its MMU
        if not kvm.choices.is_6_1:
            state.requests.add(REQ_TLB_FLUSH_GUEST)
        kvm.vcpus.append(state)
        self.counters.vcpus.append(dict.fromkeys(VCPU_STATS, 0))
        self.vcpus.append(Vcpu(self, state))
        return self.vcpus[-1]

    # --- parameters and debugfs --------------------------------------------------------------

    def module_param(self, name: str) -> str:
        """Return a module parameter as its file in /sys/module shows it.

        :param name: ``NAME`` or ``MODULE/NAME``
        :raises KvmError: ENOENT, this kernel has no such parameter
        """
        return module_params.param_attr_show(self.kvm, name)

    def set_module_param(self, name: str, value: str | int) -> None:
        """Write a module parameter; it takes effect at once.

        :param name: ``NAME`` or ``MODULE/NAME``
        :param value: as it would be written to the file: ``Y``, ``force``, ``60``
        :raises KvmError: ENOENT, EACCES (read-only), EINVAL, ERANGE, EBUSY, EPERM
        """
        work = module_params.param_attr_store(self.kvm, name, str(value))
        self.run(work, f"param {name} {value}")
        # a worker that was woken looks at the parameters now
        self.advance(0)

    def rmaps_stat(self) -> str:
        """Return debugfs' mmu_rmaps_stat: empty as long as no slot has reverse maps."""
        return self.run(mmu_rmaps_stat_show(self.kvm))

    # --- the end, and looking at it -------------------------------------------------------------

    def destroy(self) -> None:
        """End the VM: zap everything, free everything, and see that nothing is left.

        Kernel: kvm_arch_destroy_vm(), arch/x86/kvm/x86.c (v6.12)
        """
        self.run(self._destroy(), "the end of the VM")
        self.kvm.rcu.run_callbacks()
        mmu = mmu_of(self.kvm)
        pages = mmu.tdp_mmu_pages.read_once()
        if pages or mmu.roots or mmu.arena.used:
            listed = list(mmu.listed_tdp_mmu_pages)
            which = f": tables {listed[:8]}" if listed else ""
            msg = f"{pages} page tables and {len(mmu.roots)} roots were leaked{which}"
            raise InvariantError(msg)

    async def _destroy(self) -> None:
        mmu = mmu_of(self.kvm)
        await mmu_pre_destroy_vm(self.kvm)
        async with self.kvm.mmu_lock.write:
            await shadow_zap_all(mmu)
            await tdp_mmu_zap_all(mmu)
        for vcpu in self.kvm.vcpus:
            await mmu_free_roots(vcpu)
        tdp_mmu_invalidate_all_roots(mmu)
        await tdp_mmu_zap_invalidated_roots(mmu)

    def check(self) -> None:
        """Raise :class:`InvariantError` if two parts of the VM contradict each other."""
        checks.check(self.kvm)

    def snapshot(self) -> dict[str, Any]:
        """Return the whole state as plain values and copies of arrays."""
        return checks.snapshot(self.kvm)

    def state_hash(self) -> str:
        """Return a hash of the state; equal states have equal hashes."""
        return hashlib.sha256(pickle.dumps(self.snapshot())).hexdigest()[:16]


def _trace_named(trace: Trace | str) -> Trace:
    if isinstance(trace, Trace):
        return trace
    if trace not in _TRACES:
        raise UsageError(f'trace is {trace!r}; expected "none", "events" or "steps"')
    return _TRACES[trace]()


def _refuse_unmodelled(params: ModuleParams) -> None:
    if params.nx_huge_pages not in {"off", "force", "auto", "never"}:
        value = params.nx_huge_pages
        raise UsageError(f"nx_huge_pages is {value!r}; expected off, force, auto or never")
    if not params.npt:
        msg = "npt=N needs shadow paging, which this version does not model; expected Y"
        raise UsageError(msg)
