"""The host process: its mappings, its page tables, the frames behind them.

    mm = Mm(trace)
    hva = await mm.mmap("A", "thp", 8 * MIB)
    await mm.write(hva, 0xA5)          # a host page fault maps 2M
    mm.page_for(hva, write=True)       # what KVM learns: frame, level, writable

What takes pages or rights away first tells every listener in ``notifiers``: that is how KVM
hears of it.  Everything that may do so is a coroutine.

Kernel: struct mm_struct, include/linux/mm_types.h (v6.12)
Simplified: one process, no swap, no KSM, no userfaultfd, no NUMA; a child of a fork ends at
once.
"""

from collections.abc import Callable
from typing import Any, Final, Literal, TypeAlias

from kvmmu_edu.choices import KernelVersion
from kvmmu_edu.errors import UsageError
from kvmmu_edu.host import consistency, fault, gup, modify
from kvmmu_edu.host.aging import folio_referenced
from kvmmu_edu.host.fork import dup_mmap
from kvmmu_edu.host.frames import Frames
from kvmmu_edu.host.gup import HostPage, HostPages
from kvmmu_edu.host.hugetlb import Hstate
from kvmmu_edu.host.madvise import do_madvise
from kvmmu_edu.host.mmap import MMAP_TOP, do_mmap, do_munmap, hugetlb_pages, kind_named
from kvmmu_edu.host.mprotect import do_mprotect
from kvmmu_edu.host.notifier import Invalidation, MmuNotifier
from kvmmu_edu.host.page_table import (
    PAGE_PRESENT,
    PAGE_RW,
    PMD_SHIFT,
    PUD_SHIFT,
    HostPageTable,
)
from kvmmu_edu.host.populate import populate
from kvmmu_edu.host.vma import Vma, Vmas
from kvmmu_edu.sync.locks import RwLock
from kvmmu_edu.sync.task import Scheduler
from kvmmu_edu.trace.recorder import Trace
from kvmmu_edu.units import (
    PAGE_SHIFT,
    PAGE_SIZE,
    PG_LEVEL_1G,
    PG_LEVEL_2M,
    PG_LEVEL_4K,
    Hva,
    Level,
)

_tuple: Final = tuple.__new__

ThpMode: TypeAlias = Literal["always", "madvise", "never"]


class Mm:
    """The memory of the process that runs the VM.

    :param thp: ``/sys/kernel/mm/transparent_hugepage/enabled``
    :param hugepages2m: how many 2M pages hugetlbfs has; *hugepages1g* likewise
    :param kernel: which kernel's mm is modelled, ``"6.12"`` or ``"6.1"``
    :param sched: who runs the tasks; left out if nothing is explored

    :ivar notifiers: who hears of changes
    :ivar vmas: the mappings
    :ivar page_table: what is mapped now
    :ivar frames: which frames are used, and what stands in them

    Kernel: struct mm_struct, include/linux/mm_types.h (v6.12)
    """

    def __init__(
        self,
        trace: Trace,
        *,
        thp: ThpMode = "madvise",
        hugepages2m: int = 0,
        hugepages1g: int = 0,
        kernel: KernelVersion = "6.12",
        sched: Scheduler | None = None,
    ) -> None:
        """Make a process that has nothing mapped."""
        if thp not in {"always", "madvise", "never"}:
            raise UsageError(f"thp is {thp!r}; expected always, madvise or never")
        # set once
        self.trace = trace
        self.thp = thp
        self.is_6_1 = kernel == "6.1"
        self.sched = sched or Scheduler()
        self.mmap_lock = RwLock("mmap_lock", self.sched, trace)
        self.notifiers: list[MmuNotifier] = []

        # mmap_lock for writing
        self.vmas = Vmas()
        self.mmap_base: Hva = MMAP_TOP
        self.anon_vmas = 0
        self.mappings: dict[str, tuple[Hva, int]] = {}

        # page table locks: what stands between two awaits is done under them
        self.page_table = HostPageTable()
        self._blocks = self.page_table.blocks
        self._gigas = self.page_table.gigas

        # their own locks: the page allocator, hugetlb_lock
        self.frames = Frames()
        self.load: Callable[..., int] = self.frames.contents.load
        self.store: Callable[..., None] = self.frames.contents.store
        self.hstates = {
            PG_LEVEL_2M: Hstate(PG_LEVEL_2M, hugepages2m, self.frames),
            PG_LEVEL_1G: Hstate(PG_LEVEL_1G, hugepages1g, self.frames),
        }

    # --- mappings ---------------------------------------------------------------------------

    async def mmap(
        self, name: str, kind: str, nbytes: int, align: int | None = None, skew: int = 0
    ) -> Hva:
        """Map memory of a kind (``anon4k thp huge2m huge1g shm``) below the earlier mappings.

        Nothing is populated.

        :param align: the first address is a multiple of it, plus *skew*; bytes, 2M if left out
        :raises KvmError: ENOMEM if the pool of huge pages has not enough
        Kernel: do_mmap(), mm/mmap.c (v6.12)
        """
        what = kind_named(kind)
        if name in self.mappings:
            raise UsageError(f"there is a mapping {name!r}; expected another name")
        align = what.align if align is None else max(align, what.page_size)
        async with self.mmap_lock.write:
            vma = do_mmap(self, name, what, nbytes, align=align, skew=skew)
        self.mappings[name] = (vma.start, vma.end - vma.start)
        return vma.start

    def mapping(self, name: str) -> tuple[Hva, int]:
        """Return first address and size in bytes that :meth:`mmap` gave to *name*.

        :raises UsageError: if there is no such mapping
        """
        if name not in self.mappings:
            known = ", ".join(self.mappings) or "none"
            raise UsageError(f"there is no mapping {name!r}; known: {known}")
        return self.mappings[name]

    async def munmap(self, hva: Hva, nbytes: int) -> None:
        """Remove what is mapped in a range.

        Kernel: do_vmi_munmap(), mm/vma.c (v6.12)
        """
        await do_munmap(self, hva, nbytes)

    async def mprotect(self, hva: Hva, nbytes: int, access: str) -> None:
        """Allow ``r``, ``rw`` or ``none``.

        Kernel: do_mprotect_pkey(), mm/mprotect.c (v6.12)
        """
        await do_mprotect(self, hva, nbytes, access)

    async def madvise(self, hva: Hva, nbytes: int, advice: str | int) -> None:
        """Act upon an advice, given by name (``dontneed``, ``collapse``, ...) or number.

        Kernel: do_madvise(), mm/madvise.c (v6.12)
        """
        await do_madvise(self, hva, nbytes, advice)

    async def fork(self) -> None:
        """Fork a child that ends at once.

        Kernel: dup_mmap(), kernel/fork.c (v6.12)
        """
        await dup_mmap(self)

    def invalidate(self, start: Hva, end: Hva) -> Invalidation:
        """Return what to hold, by ``async with``, while entries of a range change.

        Kernel: mmu_notifier_range_init(), include/linux/mmu_notifier.h (v6.12)
        """
        return Invalidation(self, start, end)

    def anon_vma_prepare(self, vma: Vma) -> None:
        """Note that *vma* has pages of its own.

        Kernel: anon_vma_prepare(), include/linux/rmap.h (v6.12)
        """
        modify.anon_vma_prepare(self, vma)

    # --- accesses by the process ------------------------------------------------------------

    async def read(self, hva: Hva, nbytes: int = 8) -> int:
        """Return *nbytes* (1 to 8) at *hva*, little endian, after host faults if needed.

        :raises HostFault: if nothing readable is mapped there
        """
        split = min(nbytes, PAGE_SIZE - hva % PAGE_SIZE)
        page = self.page_for(hva, write=False) or await self.fault_in(hva, write=False)
        value = self.load(page.pfn, hva % PAGE_SIZE, split)
        if split < nbytes:
            value |= await self.read(hva + split, nbytes - split) << (8 * split)
        return value

    async def write(self, hva: Hva, value: int, nbytes: int = 8) -> None:
        """Store *nbytes* (1 to 8) of *value* at *hva*, little endian.

        :raises HostFault: if nothing writable is mapped there
        """
        split = min(nbytes, PAGE_SIZE - hva % PAGE_SIZE)
        page = self.page_for(hva, write=True) or await self.fault_in(hva, write=True)
        self.store(page.pfn, hva % PAGE_SIZE, value, split)
        if split < nbytes:
            await self.write(hva + split, value >> (8 * split), nbytes - split)

    async def populate(self, hva: Hva, nbytes: int) -> None:
        """Write to every page of a range without changing what stands there.

        Cost: O(blocks of 2M).
        """
        await populate(self, hva, nbytes)

    async def handle_mm_fault(self, hva: Hva, *, write: bool) -> None:
        """Handle a fault of the process at *hva*.

        :raises HostFault: if there is no mapping or it forbids the access
        Kernel: handle_mm_fault(), mm/memory.c (v6.12)
        """
        await fault.handle_mm_fault(self, hva, write=write)

    # --- what KVM asks ----------------------------------------------------------------------

    def page_for(self, hva: Hva, *, write: bool) -> HostPage | None:
        """Return the page at *hva* if the entries allow the access as they are, else None.

        Kernel: get_user_page_fast_only(), include/linux/mm.h (v6.12)
        """
        entry = self._blocks.get(hva >> PMD_SHIFT)
        if entry is None:
            entry = self._gigas.get(hva >> PUD_SHIFT)
            if entry is None:
                return None
            level = 3
            pfn = (entry >> PAGE_SHIFT) + ((hva >> PAGE_SHIFT) & 0x3FFFF)
        elif isinstance(entry, int):
            level = 2
            pfn = (entry >> PAGE_SHIFT) + ((hva >> PAGE_SHIFT) & 0x1FF)
        else:
            level = 1
            entry = entry[(hva >> PAGE_SHIFT) & 0x1FF]
            pfn = entry >> PAGE_SHIFT
        writable = entry & PAGE_RW != 0
        if not writable and (write or not entry & PAGE_PRESENT):
            return None
        # not HostPage(...): each page fault comes here, and the constructor is the dearest part
        return _tuple(HostPage, (pfn, level, writable))

    async def fault_in(self, hva: Hva, *, write: bool) -> HostPage:
        """Return the page at *hva*, after a host page fault if one is needed.

        :raises HostFault: if there is no mapping or it forbids the access
        Kernel: get_user_pages_unlocked(), mm/gup.c (v6.12)
        """
        return await gup.fault_in(self, hva, write=write)

    def pages_for_range(self, hva: Hva, npages: int, *, write: bool) -> HostPages:
        """Return what :meth:`page_for` says about *npages* pages from *hva* on, as arrays.

        Cost: O(blocks of 2M), then memory bandwidth.
        """
        return gup.pages_for_range(self.page_table, hva, npages, write=write)

    def mapping_level(self, hva: Hva) -> Level:
        """Return how large the host's mapping at *hva* is; 4K if there is none.

        Kernel: host_pfn_mapping_level(), arch/x86/kvm/mmu/mmu.c (v6.12)
        """
        block = self._blocks.get(hva >> PMD_SHIFT)
        if block is None:
            return PG_LEVEL_1G if hva >> PUD_SHIFT in self._gigas else PG_LEVEL_4K
        return PG_LEVEL_2M if isinstance(block, int) else PG_LEVEL_4K

    async def age(self, hva: Hva, nbytes: int, *, flush: bool = True) -> int:
        """Ask the listeners which mapped pages of a range were used; return how many.

        Kernel: folio_referenced_one(), mm/rmap.c (v6.12)
        """
        return await folio_referenced(self, hva, nbytes, flush=flush)

    # --- inspection -------------------------------------------------------------------------

    def check(self) -> None:
        """Raise unless mappings, entries, frames and pools agree with one another."""
        self.vmas.check()
        self.frames.check()
        self.mmap_lock.check()
        for level, hstate in self.hstates.items():
            hstate.check(*hugetlb_pages(self, level))
        consistency.check_entries(self)
        consistency.check_frames(self)

    def snapshot(self) -> dict[str, Any]:
        """Return all state as plain values: two processes are alike if these are equal."""
        return consistency.snapshot(self)
