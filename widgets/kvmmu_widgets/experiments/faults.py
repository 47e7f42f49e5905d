"""Experiments with faults: what becomes of them, how large pages get, what a deletion takes.

Ours.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from kvmmu_edu.choices import KernelVersion
from kvmmu_edu.errors import KvmError
from kvmmu_edu.trace import events as ev
from kvmmu_edu.trace.recorder import Record
from kvmmu_edu.units import GIB, KIB, LEVEL_NAMES, MIB, PAGE_SIZE, Gpa, size_text
from kvmmu_edu.virt.memory_slot import MEM_LOG_DIRTY_PAGES, MEM_READONLY
from kvmmu_edu.vm import Vm
from kvmmu_edu.x86.guest import Exit, touch
from kvmmu_edu.x86.run import vcpu_run
from kvmmu_widgets import runs
from kvmmu_widgets.experiments.stops import Stops
from kvmmu_widgets.grid import Grid
from kvmmu_widgets.look.events import ret_pf_text

#: the capability that disables quirks, and the quirk that a deletion zaps everything
CAP_DISABLE_QUIRKS2: Final = 213
X86_QUIRK_SLOT_ZAP_ALL: Final = 1 << 7

_GPA: Final[Gpa] = runs.BASE


# --- what becomes of a fault ---------------------------------------------------------------------


def results(kernel: KernelVersion = "6.12") -> Grid:
    """Return how each result of a fault comes about, each brought about in a VM of its own."""
    rows = []
    for text, bring_about in _WAYS.items():
        vm, before = bring_about(kernel)
        found = [
            _result_text(record.event.result)
            for record in vm.trace.records[before:]
            if isinstance(record.event, ev.PageFaultDone)
        ]
        counted = [f"{name} {value}" for name, value in vm.vcpus[-1].stats.items() if value]
        shown = [text for text in counted if text.startswith(("pf_", "mmio_exits"))]
        rows.append((text, ", then ".join(found), ", ".join(shown)))
    columns = ("what happens", "results of the faults", "statistics of the vCPU")
    return Grid(columns, rows, f"Linux {kernel}: faults, each in a VM of its own")


def _result_text(result: int) -> str:
    return ret_pf_text(result) if result >= 0 else f"errno {-result}"


#: a VM, and how many records it had before what is of interest
Made = tuple[Vm, int]


def _first_touch(kernel: KernelVersion) -> Made:
    return runs.first_access("write", kernel=kernel), 0


def _zero_page(kernel: KernelVersion) -> Made:
    vm = runs.machine(kernel=kernel)
    # the read belongs to another vCPU, so that its statistics are not among those shown
    vm.vcpus[0].read(_GPA)
    before = len(vm.trace.records)
    vm.create_vcpu().write(_GPA)
    return vm, before


def _beaten(kernel: KernelVersion) -> Made:
    """Let vCPU 0 map a page while vCPU 1 is on its way to map the same."""
    return _overtaken(kernel, lambda vm: vm.vcpus[0].read(_GPA))


def _taken_away(kernel: KernelVersion) -> Made:
    """Let the host throw a page away after the vCPU found it, before it is mapped."""
    return _overtaken(kernel, lambda vm: vm.host.madvise(runs.ram(vm), PAGE_SIZE, "dontneed"))


def _overtaken(kernel: KernelVersion, overtake: Callable[[Vm], object]) -> Made:
    """Stop the fault of the last vCPU once the host page is found; overtake it; let it go on."""
    sched = Stops()
    vm = runs.bare(kernel=kernel, sched=sched)
    vm.set_user_memory_region(0, 0, _GPA, 2 * MIB, runs.ram(vm))
    vm.create_vcpu().write(_GPA + MIB)
    late = vm.create_vcpu()
    exits: list[Exit] = []
    task = sched.spawn(late.name, vcpu_run(late.state, (touch("read", _GPA),), exits))
    sched.stop()
    before = len(vm.trace.records)
    while not _has_host_page(vm.trace.records[before:]):
        sched.step(task)
    sched.stop(stopping=False)
    overtake(vm)
    before = len(vm.trace.records)
    sched.run_all(task)
    return vm, before


def _has_host_page(records: Sequence[Record]) -> bool:
    """Return whether the host has mapped a page and let go of its lock."""
    kinds = [type(record.event) for record in records]
    if ev.HostMapped not in kinds:
        return False
    later = records[kinds.index(ev.HostMapped) :]
    released = [r.event.lock for r in later if isinstance(r.event, ev.LockReleased)]
    return "mmap_lock" in released


def _hole(kernel: KernelVersion) -> Made:
    vm = runs.machine(kernel=kernel)
    vm.vcpus[0].read(64 * MIB)
    return vm, 0


def _read_only_slot(kernel: KernelVersion) -> Made:
    vm = runs.machine(flags=MEM_READONLY, kernel=kernel)
    vm.vcpus[0].write(_GPA)
    return vm, 0


def _logged(kernel: KernelVersion) -> Made:
    """Take write access away for the dirty log, and write."""
    vm = runs.machine(kernel=kernel)
    vm.vcpus[0].write(_GPA)
    vm.set_user_memory_region(0, MEM_LOG_DIRTY_PAGES, _GPA, 2 * MIB, runs.ram(vm))
    before = len(vm.trace.records)
    vm.create_vcpu().write(_GPA)
    return vm, before


def _no_page(kernel: KernelVersion) -> Made:
    vm = runs.machine(kernel=kernel)
    vm.host.mprotect(runs.ram(vm), PAGE_SIZE, "none")
    with suppress(KvmError):
        vm.vcpus[0].read(_GPA)
    return vm, 0


_WAYS: Final[dict[str, Callable[[KernelVersion], Made]]] = {
    "a first touch": _first_touch,
    "a write where the zero page is mapped": _zero_page,
    "another vCPU maps the page first": _beaten,
    "the host takes the page away meanwhile": _taken_away,
    "no slot there": _hole,
    "a write to a read-only slot": _read_only_slot,
    "a write that only the dirty log forbids": _logged,
    "the host has no page to give": _no_page,
}


# --- what may not be written ---------------------------------------------------------------------


def write_to_read_only(kernel: KernelVersion = "6.12") -> str:
    """Return what user space sees when the guest writes to a slot with the flag READONLY."""
    return _seen(runs.machine(flags=MEM_READONLY, kernel=kernel), "write")


def denied(kernel: KernelVersion = "6.12") -> Grid:
    """Return what user space sees of accesses that slot or host do not allow."""
    rows = []
    for text, flags, access in _DENIALS:
        for kind in ("read", "write"):
            vm = runs.machine(flags=flags, kernel=kernel)
            if access:
                vm.host.mprotect(runs.ram(vm), PAGE_SIZE, access)
            rows.append((text, kind, _seen(vm, kind), vm.counters.vm["pages_4k"]))
    columns = ("the memory", "the guest's", "user space sees", "pages mapped")
    return Grid(columns, rows, f"Linux {kernel}: one access each")


_DENIALS: Final = (
    ("slot and host allow all", 0, ""),
    ("slot is READONLY", MEM_READONLY, ""),
    ("host: mprotect(PROT_READ)", 0, "r"),
    ("host: mprotect(PROT_NONE)", 0, "none"),
)


def _seen(vm: Vm, kind: str) -> str:
    vcpu = vm.vcpus[0]
    try:
        exits = vcpu.read(_GPA) if kind == "read" else vcpu.write(_GPA)
    except KvmError as error:
        return f"KVM_RUN fails: {error.name}"
    return f"{exits[0].reason} exit" if exits else "nothing"


# --- how large a page ----------------------------------------------------------------------------


def sizes(kernel: KernelVersion = "6.12") -> Grid:
    """Return how large a page KVM maps for one write, by what the host has and how it lies."""
    rows = []
    for backing, memory, gpa, skew in _LAYOUTS:
        vm = runs.machine(backing, memory, gpa=gpa, skew=skew, kernel=kernel)
        where = (gpa & -(2 * MIB)) + 2 * MIB if memory > 2 * MIB and gpa % (2 * MIB) else gpa
        vm.vcpus[0].write(where)
        level = next(
            record.event.level
            for record in vm.trace.records
            if isinstance(record.event, ev.SpteRequested)
        )
        tables = vm.counters.counts["tables_allocated"]
        slot = f"{size_text(memory)} at gpa {gpa:#x}"
        rows.append((backing, slot, size_text(skew), LEVEL_NAMES[level], tables))
    columns = ("host memory", "slot", "hva off by", "page mapped", "page tables")
    return Grid(columns, rows, "One write each")


_LAYOUTS: Final[tuple[tuple[runs.Backing, int, Gpa, int], ...]] = (
    ("anon4k", 4 * MIB, GIB, 0),
    ("thp", 4 * MIB, GIB, 0),
    ("thp", 4 * MIB, GIB, 4 * KIB),
    ("thp", 4 * MIB, GIB + 4 * KIB, 4 * KIB),
    ("thp", MIB, GIB, 0),
    ("huge2m", 4 * MIB, GIB, 0),
    ("huge1g", GIB, GIB, 0),
    ("huge1g", GIB, GIB + 2 * MIB, 0),
)


# --- what a deletion takes -----------------------------------------------------------------------


def delete_another(kernel: KernelVersion = "6.12", *, quirk: bool = True) -> Vm:
    """Return a VM with 16 pages mapped through slot 0, whose last operation deleted slot 1.

    :param quirk: whether KVM_X86_QUIRK_SLOT_ZAP_ALL is in force, as it is by default
    :raises KvmError: EINVAL, the kernel has no such quirk
    """
    vm = runs.machine(kernel=kernel)
    if not quirk:
        vm.enable_cap(CAP_DISABLE_QUIRKS2, X86_QUIRK_SLOT_ZAP_ALL)
    for n in range(16):
        vm.vcpus[0].write(_GPA + n * PAGE_SIZE)
    vm.set_user_memory_region(1, 0, 64 * MIB, PAGE_SIZE, runs.ram(vm))
    vm.set_user_memory_region(1, 0, 0, 0, 0)
    return vm
