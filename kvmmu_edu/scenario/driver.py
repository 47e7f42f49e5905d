"""The driver: what the user process of a scenario knows and keeps.

It remembers host mappings by name and memory slots by id, as the program does that made the
recordings, and creates payload and vCPUs before the first operation that is not early.

Ours.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, TypeVar

import numpy as np

from kvmmu_edu.errors import KvmError, UsageError
from kvmmu_edu.scenario.arguments import HostAddress
from kvmmu_edu.scenario.grammar import Operation
from kvmmu_edu.scenario.headers import DirtyRing, Mode, PayloadAt, Vcpus
from kvmmu_edu.scenario.language import Statement
from kvmmu_edu.scenario.payload import PAYLOAD_GPA, PAYLOAD_SLOT, Payload
from kvmmu_edu.scenario.programs import Program
from kvmmu_edu.scenario.turns import TurnScheduler
from kvmmu_edu.units import PAGE_SIZE, Gpa, Hva
from kvmmu_edu.vcpu import Vcpu
from kvmmu_edu.virt.enable_cap import CAP_DIRTY_LOG_RING
from kvmmu_edu.virt.set_memory_region import UserspaceMemoryRegion, vm_ioctl_set_memory_region
from kvmmu_edu.vm import Vm
from kvmmu_edu.x86.caps import vm_ioctl_enable_cap
from kvmmu_edu.x86.guest import Guest

#: what an operation returned, as fields of its line in result.jsonl
Outcome: TypeAlias = dict[str, Any]

#: no name of a scenario can be this one
_PAYLOAD_MAPPING: Final = "(payload)"


@dataclass(slots=True)
class Region:
    """What the last successful call said of a slot; gpa, size and hva in bytes."""

    gpa: Gpa = 0
    size: int = 0
    flags: int = 0
    hva: Hva = 0


@dataclass(slots=True)
class Settings:
    """What header lines said so far."""

    vcpus: Vcpus = field(default_factory=lambda: Vcpus(1))
    mode: Mode = field(default_factory=lambda: Mode("long64"))
    payload: PayloadAt = field(default_factory=lambda: PayloadAt(PAYLOAD_SLOT, PAYLOAD_GPA))
    dirty_ring: DirtyRing = field(default_factory=lambda: DirtyRing(0))


class ProcessMemory:
    """Loads and stores of the process that are no operations of the scenario."""

    def __init__(self, vm: Vm) -> None:
        """Access the memory of the process that owns *vm*."""
        self._vm = vm

    def read(self, hva: Hva, nbytes: int = 8) -> int:
        """Load *nbytes* bytes."""
        return self._vm.run(self._vm.kvm.mm.read(hva, nbytes))

    def write(self, hva: Hva, value: int, nbytes: int = 8) -> None:
        """Store *nbytes* bytes."""
        self._vm.run(self._vm.kvm.mm.write(hva, value, nbytes))


class Driver:
    """The user process.

    :ivar vm: the VM that it drives
    :ivar regions: memory slots by id (with the address space in the upper half)
    :ivar last_dirty: the bitmap that the last dirty-get returned, words of 64 bits
    :ivar settings: what header lines said
    :ivar work: guest work in the background, by vCPU; see :mod:`kvmmu_edu.scenario.guest_work`
    """

    def __init__(self, vm: Vm, sched: TurnScheduler) -> None:
        """Start with an empty process; *sched* is what runs the tasks of *vm*."""
        self.vm = vm
        self.sched = sched
        sched.srcu = vm.kvm.srcu
        self.memory = ProcessMemory(vm)
        self.memories: dict[str, Hva] = {}
        self.regions: dict[int, Region] = {}
        self.last_dirty = np.zeros(0, np.uint64)
        self.settings = Settings()
        self.vcpus: list[Vcpu] = []
        self.payload: Payload | None = None
        self.work: dict[int, Any] = {}
        self.line_of_first_operation = 0

    # --- before the first operation -----------------------------------------------------------

    def configure(self, operation: Operation) -> None:
        """Follow a header line.

        :raises UsageError: when it comes too late and would change something
        """
        names = {Vcpus: "vcpus", Mode: "mode", PayloadAt: "payload", DirtyRing: "dirty_ring"}
        name = names[type(operation)]
        if self.line_of_first_operation and getattr(self.settings, name) != operation:
            raise UsageError(
                f"this header comes too late; expected it before line "
                f"{self.line_of_first_operation}, where the VM is made"
            )
        setattr(self.settings, name, operation)

    def set_up(self, line: int) -> None:
        """Create payload, dirty ring and vCPUs; nothing if that was done before.

        :param line: which line it is done for
        """
        if self.line_of_first_operation:
            return
        self.line_of_first_operation = line
        place = self.settings.payload
        if place.slot >= 0:
            self._make_payload(place)
        guest = Guest()
        if self.payload is not None:
            paging = self.settings.mode.paging
            guest = Guest(paging, self.payload.cr3)  # type: ignore[arg-type]
        if self.settings.dirty_ring.nbytes:
            kvm, nbytes = self.vm.kvm, self.settings.dirty_ring.nbytes
            self.vm.run(vm_ioctl_enable_cap(kvm, CAP_DIRTY_LOG_RING, (nbytes,)))
        for _ in range(self.settings.vcpus.count):
            self.vcpus.append(self.vm.create_vcpu(guest=guest))

    def map_payload(self, place: PayloadAt) -> None:
        """Map the payload's host memory; it lies above all other mappings."""
        if place.slot >= 0:
            mapping = self.vm.kvm.mm.mmap(_PAYLOAD_MAPPING, "anon4k", place.size)
            self.memories[_PAYLOAD_MAPPING] = self.vm.run(mapping)

    def _make_payload(self, place: PayloadAt) -> None:
        hva, kvm = self.memories[_PAYLOAD_MAPPING], self.vm.kvm
        self.vm.run(kvm.mm.populate(hva, place.size))
        self.payload = Payload(self.memory, place.gpa, hva, place.size // PAGE_SIZE)
        if self.settings.mode.paging == "long64":
            self.payload.build(self.settings.mode.tables)
        region = UserspaceMemoryRegion(place.slot, 0, place.gpa, place.size, hva)
        self.vm.run(vm_ioctl_set_memory_region(kvm, region))
        self.regions[place.slot] = Region(place.gpa, place.size, 0, hva)

    # --- what operations ask for --------------------------------------------------------------

    def hva(self, address: HostAddress) -> Hva:
        """Return a host address in bytes.

        :raises UsageError: when the mapping is not known
        """
        if not address.name:
            return address.offset
        if address.name not in self.memories:
            raise UsageError(f"{address.name!r} is not mapped; expected mem {address.name} before")
        return self.memories[address.name] + address.offset

    def vcpu(self, number: int) -> Vcpu:
        """Return a vCPU.

        :raises UsageError: when there is none of that number
        """
        if number >= len(self.vcpus):
            raise UsageError(f"there is no vCPU {number}; expected vcpus {number + 1} in a header")
        return self.vcpus[number]

    def program(self) -> Program:
        """Return what guest programs depend on.

        :raises UsageError: when there is no payload
        """
        paging = self.settings.mode.paging
        return Program(paging, self.guest_tables().gpa)  # type: ignore[arg-type]

    def guest_tables(self) -> Payload:
        """Return the payload, which has the guest's page tables.

        :raises UsageError: when there is no payload
        """
        if self.payload is None:
            raise UsageError("the guest has no code and no page tables; expected a payload slot")
        return self.payload

    def find_region(self, gpa: Gpa) -> Region | None:
        """Return the slot of address space 0 that an address lies in, or None."""
        for number, region in self.regions.items():
            if number >> 16 == 0 and region.gpa <= gpa < region.gpa + region.size:
                return region
        return None


def attempt(call: Callable[[], Any]) -> Outcome:
    """Do a call of the kernel and return its return code, with the errno's name if it fails."""
    try:
        value = call()
    except KvmError as error:
        return {"rc": -1, "errno": error.name}
    return {"rc": value if isinstance(value, int) else 0}


Performer: TypeAlias = Callable[[Driver, Statement], Outcome]
#: class of an operation -> what carries it out; the modules fill this in
PERFORMERS: dict[type[Operation], Performer] = {}

F = TypeVar("F", bound=Callable[..., Outcome])


def performs(kind: type[Operation]) -> Callable[[F], F]:
    """Register what carries out a kind of operation: it gets driver, operation and vCPU."""

    def register(function: F) -> F:
        def perform(driver: Driver, statement: Statement) -> Outcome:
            return function(driver, statement.operation, statement.vcpu)

        PERFORMERS[kind] = perform
        return function

    return register
