"""Experiments with memory slots: what changes cost, what readers find, what is refused.  Ours."""

from collections.abc import Callable, Iterator
from typing import Any, Final

from kvmmu_edu.choices import KernelVersion
from kvmmu_edu.errors import KvmError
from kvmmu_edu.trace import events as ev
from kvmmu_edu.units import GIB, KIB, MIB, PAGE_SIZE, Gfn
from kvmmu_edu.virt.gfn_to_hva import gfn_to_hva_memslot, is_error_hva
from kvmmu_edu.virt.gfn_tree import search_memslots
from kvmmu_edu.virt.memory_slot import MemorySlot
from kvmmu_edu.virt.memslots import memslots
from kvmmu_edu.virt.set_memory_region import UserspaceMemoryRegion, vm_ioctl_set_memory_region
from kvmmu_edu.vm import Vm
from kvmmu_edu.x86.guest import touch
from kvmmu_edu.x86.run import vcpu_run
from kvmmu_widgets import runs
from kvmmu_widgets.counted import flat_change
from kvmmu_widgets.excerpt import split_at
from kvmmu_widgets.experiments.stops import Stops
from kvmmu_widgets.grid import Grid
from kvmmu_widgets.look.events import ret_pf_text
from kvmmu_widgets.narrate.context import flags_text, generation_text

_COSTS: Final = {
    "count.replace_memslot": "replacements",
    "count.swap_active_memslots": "swaps",
    "count.synchronize_srcu": "SRCU waits",
}


def costs_of_changes(kernel: KernelVersion = "6.12") -> Grid:
    """Return what each of the four changes of a slot costs, measured on a VM with 5 slots."""
    rows = []
    for what in runs.CHANGES:
        vm = runs.slots(5, kernel=kernel)
        before = runs.generation(vm)
        runs.changer(vm, what, 5)()
        moved = flat_change(*split_at(vm.trace.records, -1))
        rows.append((what, *(moved[name] for name in _COSTS), f"+{runs.generation(vm) - before}"))
    return Grid(("change", *_COSTS.values(), "generation"), rows, f"Linux {kernel}, measured")


# --- what readers find while a slot is being changed ---------------------------------------------


def lookups_during(what: runs.Change = "delete", kernel: KernelVersion = "6.12") -> Grid:
    """Return what a reader finds at the slot's place before, during and after its change.

    The change stops at each point where another CPU could run, and the lookup runs there.  The
    last column is the result of a guest's read that faults at that very moment.
    """
    changing = _Changing(what, kernel)
    rows = [("before", *changing.found(), _fault_at(what, kernel, 0))]
    while changing.step():
        found = changing.found()
        if found != rows[-1][1:-1]:
            rows.append((changing.told(), *found, _fault_at(what, kernel, changing.steps)))
    columns = ("after", "set", "generation", "lookup finds", "host address", "a guest's fault")
    return Grid(columns, rows, f"A lookup of gfn {changing.gfn:#x} during: {what}")


def in_between(
    what: runs.Change = "delete", column: str = "lookup finds", kernel: KernelVersion = "6.12"
) -> str:
    """Return what a reader finds between the first publication and what follows it."""
    return str(lookups_during(what, kernel)[column][1])


def in_between_fault(what: runs.Change = "delete", kernel: KernelVersion = "6.12") -> str:
    """Return what a fault comes to at that moment."""
    return in_between(what, "a guest's fault", kernel)


class _Changing:
    """A VM with three slots of which number 1 is being changed, step by step."""

    def __init__(self, what: runs.Change, kernel: KernelVersion) -> None:
        self.sched = Stops()
        self.vm = runs.slots(3, kernel=kernel, sched=self.sched)
        self.vm.create_vcpu()
        place = 4 if what == "create" else 2
        self.gfn: Gfn = place * runs.SLOT_STRIDE // PAGE_SIZE
        self.steps = 0
        self._before = len(self.vm.trace.records)
        self._task = self.sched.spawn("kvmtrace", _ioctl(self.vm, what))
        self.sched.stop()

    def step(self) -> bool:
        """Go on to the next point where another CPU could run; false at the end."""
        self.steps += 1
        return self.sched.step(self._task)

    def found(self) -> tuple[int, str, str, str]:
        """Return what a reader finds now; the lookup leaves no trace in the set."""
        active = memslots(self.vm.kvm)
        slot = search_memslots(active, self.gfn)
        hva = gfn_to_hva_memslot(slot, self.gfn)
        return (
            active.node_idx,
            generation_text(active.generation.read_once()),
            _slot_text(slot),
            "KVM_HVA_ERR_BAD" if is_error_hva(hva) else f"{hva:#x}",
        )

    def told(self) -> str:
        """Return the last thing that happened, in words."""
        swaps, told = 0, ""
        for record in self.vm.trace.records[self._before :]:
            swaps += isinstance(record.event, ev.SwapActiveMemslots)
            text = _TOLD.get(type(record.event))
            told = told if text is None else text.format(swaps)
        return told

    def fault(self) -> str:
        """Let the guest read now, and return what its first fault came to."""
        vcpu, exits = self.vm.vcpus[0].state, list[Any]()
        work = vcpu_run(vcpu, (touch("read", self.gfn * PAGE_SIZE),), exits)
        task = self.sched.spawn("vcpu0", work)
        before = len(self.vm.trace.records)
        while self.sched.step(task):
            for record in self.vm.trace.records[before:]:
                if isinstance(record.event, ev.PageFaultDone):
                    return ret_pf_text(record.event.result)
        return "none"


def _fault_at(what: runs.Change, kernel: KernelVersion, steps: int) -> str:
    """Return what a fault comes to that the guest takes after *steps* steps of the change."""
    changing = _Changing(what, kernel)
    for _ in range(steps):
        changing.step()
    result = changing.fault()
    changing.sched.stop(stopping=False)
    changing.sched.run_all()
    return result


def _ioctl(vm: Vm, what: runs.Change) -> Any:
    """Return the coroutine of the ioctl that changes slot 1."""
    hva, size, stride = runs.ram(vm) + runs.SLOT_SIZE, runs.SLOT_SIZE, runs.SLOT_STRIDE
    regions = {
        "create": UserspaceMemoryRegion(3, 0, 4 * stride, size, hva + 2 * size),
        "delete": UserspaceMemoryRegion(1, 0, 0, 0, 0),
        "move": UserspaceMemoryRegion(1, 0, 8 * stride, size, hva),
        "flags": UserspaceMemoryRegion(1, 1, 2 * stride, size, hva),
    }
    return vm_ioctl_set_memory_region(vm.kvm, regions[what])


def _slot_text(slot: MemorySlot | None) -> str:
    if slot is None:
        return "nothing"
    return f"slot {slot.id}{f', {flags_text(slot.flags)}' if slot.flags else ''}"


_TOLD: Final = {
    ev.SetMemslot: "the ioctl began",
    ev.SynchronizeSrcu: "swap {}: pointer published",
    ev.GenerationChanged: "swap {}: new generation",
    ev.ArchFlushShadowMemslot: "mappings removed",
    ev.ArchCommitMemoryRegion: "commit",
}


def slot_limit(kernel: KernelVersion = "6.12") -> int:
    """Return how many slots an address space may have, found by trying ids."""
    vm = runs.bare(memory=PAGE_SIZE, kernel=kernel)
    low, high = 0, 1 << 16
    while low < high:
        middle = (low + high) // 2
        errno, _ = _try(vm, lambda hva, slot=middle: (slot, 0, GIB, PAGE_SIZE, hva))  # type: ignore[misc]
        if errno == "0":
            vm.set_user_memory_region(middle, 0, 0, 0, 0)
            low = middle + 1
        else:
            high = middle
    return low


# --- what the kernel refuses ---------------------------------------------------------------------


def refusals(kernel: KernelVersion = "6.12") -> Grid:
    """Return calls of the slot ioctl with their errno, tried on a VM with two slots.

    Slot 0 is at gpa 1 MiB, slot 1 at 2 MiB; both have 64 KiB.
    """
    rows = []
    for text, region in _attempts():
        vm = runs.slots(2, kernel=kernel)
        before = runs.generation(vm)
        errno, why = _try(vm, region)
        rows.append((text, errno, why, f"+{runs.generation(vm) - before}"))
    columns = ("attempt", "errno", "why", "generation")
    return Grid(columns, rows, f"Linux {kernel}: KVM_SET_USER_MEMORY_REGION")


def _try(vm: Vm, region: Callable[[int], tuple[int, int, int, int, int]]) -> tuple[str, str]:
    try:
        vm.set_user_memory_region(*region(runs.ram(vm)))
    except KvmError as error:
        return error.name, error.why
    return "0", ""


def _attempts() -> Iterator[tuple[str, Callable[[int], tuple[int, int, int, int, int]]]]:
    """Yield attempts in words, with the arguments of the call for the host address of ``ram``."""
    size = runs.SLOT_SIZE
    yield "flags with an unknown bit", lambda hva: (0, 1 << 16, MIB, size, hva)
    yield "slot id 32764", lambda hva: (32764, 0, 8 * MIB, size, hva)
    yield "half a page more", lambda hva: (5, 0, 8 * MIB, size + 2048, hva)
    yield "gpa in the middle of a page", lambda hva: (5, 0, 8 * MIB + 512, size, hva)
    yield "a third address space", lambda hva: (5 | 2 << 16, 0, 8 * MIB, size, hva)
    yield "delete what is not there", lambda _hva: (5, 0, 0, 0, 0)
    yield "resize slot 0", lambda hva: (0, 0, MIB, 2 * size, hva)
    yield "slot 0 at another hva", lambda hva: (0, 0, MIB, size, hva + size)
    yield "make slot 0 read-only", lambda hva: (0, 2, MIB, size, hva)
    yield "overlap slot 0 by a page", lambda hva: (5, 0, MIB - 60 * KIB, size, hva)
    yield "move slot 0 onto slot 1", lambda hva: (0, 0, 2 * MIB, size, hva)
    yield "move slot 0 by half of itself", lambda hva: (0, 0, MIB + size // 2, size, hva)
    yield "slot 0 as it is", lambda hva: (0, 0, MIB, size, hva)
    yield "the hva of slot 0 once more", lambda hva: (5, 0, 8 * MIB, size, hva)
