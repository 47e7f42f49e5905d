"""Ready-made runs, which lessons, controls and tests share.

Each takes the parameters that a reader may want to turn and returns a :class:`Vm` that
recorded its steps.  A stepper shows it, ``look`` tabulates it, ``explore`` runs it again::

    Stepper(runs.change("delete"), view="slots", since=-1)

A parameter that leads to more than a reader can look at is refused with the limit.  Ours.
"""

import random
from collections.abc import Callable
from typing import Any, Final, Literal, TypeAlias

from kvmmu_edu.choices import Choices, KernelVersion, PagingFormat
from kvmmu_edu.errors import UsageError
from kvmmu_edu.sync.task import Scheduler
from kvmmu_edu.units import GIB, KIB, MIB, PAGE_SIZE, Gpa, Hva, size_text
from kvmmu_edu.virt.memslots import memslots
from kvmmu_edu.vm import Vm
from kvmmu_widgets import excerpt
from kvmmu_widgets.counted import flat_change

Backing: TypeAlias = Literal["anon4k", "thp", "huge2m", "huge1g", "shm"]
Change: TypeAlias = Literal["create", "delete", "move", "flags"]
Order: TypeAlias = Literal["rising", "falling", "shuffled"]

#: what the host process calls the memory of the guest
RAM: Final = "ram"
#: the first byte of the guest's memory in these runs, unless they say otherwise
BASE: Final[Gpa] = 1 * MIB
#: slots stand this far apart, so that there are holes between them
SLOT_STRIDE: Final = 1 * MIB
SLOT_SIZE: Final = 64 * KIB

#: how a slot can be changed, and the sizes of a page behind each kind of memory
CHANGES: Final = ("create", "delete", "move", "flags")
PAGE_OF: Final = {
    "anon4k": 4 * KIB,
    "shm": 4 * KIB,
    "thp": 2 * MIB,
    "huge2m": 2 * MIB,
    "huge1g": 1 * GIB,
}

#: more slots or accesses than these give steps that nobody looks at one by one
MAX_SLOTS: Final = 64
MAX_ACCESSES: Final = 64


def machine(
    backing: Backing = "anon4k",
    memory: int = 2 * MIB,
    *,
    gpa: Gpa = BASE,
    skew: int = 0,
    flags: int = 0,
    kernel: KernelVersion = "6.12",
    paging: PagingFormat = "npt",
    vcpus: int = 1,
    trace: str = "steps",
) -> Vm:
    """Return a VM with one slot, number 0, and vCPUs that have not run yet.

    :param backing: what the host maps behind it, the mapping ``ram``
    :param memory: bytes
    :param gpa: where the guest sees it, bytes
    :param skew: bytes by which the host address misses its alignment
    :param flags: of the slot: 1 log dirty pages, 2 read-only
    :raises KvmError: what the kernel would refuse
    """
    vm = bare(backing, memory, kernel=kernel, paging=paging, skew=skew, trace=trace)
    vm.set_user_memory_region(0, flags, gpa, memory, ram(vm))
    for _ in range(vcpus):
        vm.create_vcpu()
    return vm


def bare(
    backing: Backing = "anon4k",
    memory: int = 2 * MIB,
    *,
    kernel: KernelVersion = "6.12",
    paging: PagingFormat = "npt",
    skew: int = 0,
    trace: str = "steps",
    sched: Scheduler | None = None,
) -> Vm:
    """Return a VM without slots; its host process has mapped *memory* bytes as ``ram``."""
    if memory > 4 * GIB:
        raise UsageError(f"{size_text(memory)} of memory; expected at most 4 GiB in a lesson")
    room = memory + skew
    vm = Vm(
        choices=Choices(kernel=kernel, paging=paging),
        trace=trace,
        hugepages2m=-(-room // (2 * MIB)) if backing == "huge2m" else 0,
        hugepages1g=-(-room // GIB) if backing == "huge1g" else 0,
        sched=sched,
    )
    vm.host.mmap(RAM, backing, memory, skew=skew)
    return vm


def ram(vm: Vm) -> Hva:
    """Return the host address of the mapping ``ram``, bytes."""
    return vm.host.mapping(RAM)[0]


# --- lesson 00 and 03: accesses ------------------------------------------------------------------


def touches(in_order: str, backing: Backing = "anon4k", kernel: KernelVersion = "6.12") -> Vm:
    """Return a VM of 2 MiB (or one huge page) whose guest touched its first byte.

    :param in_order: words: ``read``, ``write``, ``exec``
    """
    vm = machine(backing, max(2 * MIB, PAGE_OF[backing]), gpa=_base(backing), kernel=kernel)
    for access in in_order.split():
        _access(vm, access, _base(backing))
    return vm


def first_access(
    access: str = "read", backing: Backing = "anon4k", kernel: KernelVersion = "6.12"
) -> Vm:
    """Return a VM whose guest touched its first byte once."""
    return touches(access, backing, kernel)


def read_then_write(backing: Backing = "anon4k", kernel: KernelVersion = "6.12") -> Vm:
    """Return a VM whose guest read its first byte, then wrote it."""
    return touches("read write", backing, kernel)


def accesses(
    backing: Backing = "anon4k",
    access: str = "write",
    *,
    memory_mib: int = 4,
    count: int = 4,
    stride_kib: int = 1024,
    skew_kib: int = 0,
    kernel: KernelVersion = "6.12",
    paging: PagingFormat = "npt",
) -> Vm:
    """Return a VM whose guest touched *count* addresses, *stride_kib* apart.

    :param memory_mib: size of its one slot, which begins at gpa 1 GiB
    :param skew_kib: by how much the host address misses its alignment
    :raises UsageError: more than 64 accesses
    """
    if not 0 < count <= MAX_ACCESSES:
        raise UsageError(f"{count} accesses; expected 1 to {MAX_ACCESSES}")
    memory = memory_mib * MIB
    vm = machine(backing, memory, gpa=GIB, skew=skew_kib * KIB, kernel=kernel, paging=paging)
    for n in range(count):
        _access(vm, access, GIB + n * stride_kib * KIB)
    return vm


def touched(memory: int, backing: Backing = "anon4k", kernel: KernelVersion = "6.12") -> Vm:
    """Return a VM of *memory* bytes from gpa 0 on, touched once in each 2 MiB; no steps kept.

    That takes every page table that touching all of it would take.
    """
    vm = machine(backing, memory, gpa=0, kernel=kernel, trace="none")
    vcpu = vm.vcpus[0]
    for gpa in range(0, memory, 2 * MIB):
        vcpu.write(gpa)
    return vm


def _base(backing: Backing) -> Gpa:
    return GIB if backing == "huge1g" else 2 * MIB


def _access(vm: Vm, access: str, gpa: Gpa) -> None:
    vcpu = vm.vcpus[0]
    does: dict[str, Callable[[Gpa], object]] = {
        "read": vcpu.read,
        "write": vcpu.write,
        "exec": vcpu.exec,
    }
    if access not in does:
        raise UsageError(f"access is {access!r}; expected one of {', '.join(does)}")
    does[access](gpa)


# --- lesson 01: slots ----------------------------------------------------------------------------


def slots(
    count: int = 5,
    order: Order = "rising",
    kernel: KernelVersion = "6.12",
    *,
    sched: Scheduler | None = None,
) -> Vm:
    """Return a VM with *count* slots of 64 KiB, slot *n* at gpa (n + 1) MiB, made in *order*.

    :raises UsageError: more than 64 slots
    """
    if not 0 <= count <= MAX_SLOTS:
        raise UsageError(f"{count} slots; expected 0 to {MAX_SLOTS}")
    vm = bare(memory=(count + 1) * SLOT_SIZE, kernel=kernel, sched=sched)
    for n in _ordered(count, order):
        make_slot(vm, n)
    return vm


def generation(vm: Vm) -> int:
    """Return the generation of the active slots of address space 0."""
    return memslots(vm.kvm).generation.read_once()


def make_slot(vm: Vm, n: int, *, flags: int = 0, away: int = 0) -> None:
    """Create slot *n* of a VM of :func:`slots`, or change it.

    :param away: bytes by which it is moved from its place
    """
    gpa = (n + 1) * SLOT_STRIDE + away
    vm.set_user_memory_region(n, flags, gpa, SLOT_SIZE, ram(vm) + n * SLOT_SIZE)


def change(
    what: Change = "delete",
    count: int = 5,
    order: Order = "rising",
    kernel: KernelVersion = "6.12",
) -> Vm:
    """Return a VM with *count* slots whose last operation changes one in the middle.

    :raises UsageError: no such change, or fewer than 1 slot
    """
    if count < 1:
        raise UsageError(f"{count} slots; expected at least 1 to change")
    vm = slots(count, order, kernel)
    changer(vm, what, count)()
    return vm


def changer(vm: Vm, what: Change, count: int) -> Callable[[], None]:
    """Return what carries the change out, on a VM of :func:`slots` with *count* slots.

    :raises UsageError: no such change
    """
    middle = count // 2
    changes: dict[str, Callable[[], None]] = {
        "create": lambda: make_slot(vm, count),
        "delete": lambda: vm.set_user_memory_region(middle, 0, 0, 0, 0),
        "move": lambda: make_slot(vm, middle, away=(count + 1) * SLOT_STRIDE),
        "flags": lambda: make_slot(vm, middle, flags=1),
    }
    if what not in changes:
        raise UsageError(f"change is {what!r}; expected one of {', '.join(changes)}")
    return changes[what]


def alias(kernel: KernelVersion = "6.12", *, dropped: bool = False) -> Vm:
    """Return a VM where slots 0 and 1 show the same host memory, and the guest wrote to both.

    Slot 0 begins at gpa 1 MiB, slot 1 at gpa 8 MiB.

    :param dropped: whether the host, as the last operation, threw the first page away
    """
    vm = bare(memory=SLOT_SIZE, kernel=kernel)
    vcpu = vm.create_vcpu()
    for slot, gpa in enumerate((1 * MIB, 8 * MIB)):
        vm.set_user_memory_region(slot, 0, gpa, SLOT_SIZE, ram(vm))
        vcpu.write(gpa)
    if dropped:
        vm.host.madvise(ram(vm), PAGE_SIZE, "dontneed")
    return vm


def many_slots(count: int, kernel: KernelVersion = "6.12") -> Vm:
    """Return a VM with *count* slots of one page, every second page; no steps kept."""
    vm = bare(memory=count * PAGE_SIZE, kernel=kernel, trace="none")
    hva = ram(vm)
    for n in range(count):
        vm.set_user_memory_region(n, 0, 2 * n * PAGE_SIZE, PAGE_SIZE, hva + n * PAGE_SIZE)
    return vm


def _ordered(count: int, order: Order) -> list[int]:
    numbers = list(range(count))
    if order == "falling":
        numbers.reverse()
    elif order == "shuffled":
        # not for secrets: the same order each time, so that a lesson can be repeated
        random.Random(4).shuffle(numbers)  # noqa: S311
    elif order != "rising":
        raise UsageError(f"order is {order!r}; expected rising, falling or shuffled")
    return numbers


# --- what came of a run --------------------------------------------------------------------------


def outcome(
    run: Callable[..., Vm],
    counter: str | Callable[[Vm], int],
    /,
    *,
    since: int | None = None,
    **parameters: Any,
) -> Callable[[], int]:
    """Return a function that runs *run* anew and returns how far a counter moved.

    So a prediction can ask the engine when the learner has answered, and not before.

    :param counter: a name of :meth:`Counters.flat`: ``vm.pages_4k``, ``v0.pf_taken``,
        ``count.synchronize_srcu``; or a function of the VM
    :param since: the first operation that counts; -1 is the last; all by default

    >>> outcome(first_access, "count.tables_allocated")()
    4
    """

    def ask() -> int:
        vm = run(**parameters)
        if not isinstance(counter, str):
            return counter(vm)
        if since is None:
            return vm.counters.flat().get(counter, 0)
        return flat_change(*excerpt.split_at(vm.trace.records, since)).get(counter, 0)

    return ask
