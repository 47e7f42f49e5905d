"""A virtual CPU, as its user sees it: accesses and KVM_RUN, plain calls that return."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from kvmmu_edu.errors import UsageError, expect_stored, expect_unsigned
from kvmmu_edu.units import PAGE_SIZE, Gpa
from kvmmu_edu.x86.guest import AccessKind, Exit, Instruction, touch
from kvmmu_edu.x86.run import vcpu_pre_fault_memory, vcpu_run

if TYPE_CHECKING:
    from kvmmu_edu.virt.vcpu import KvmVcpu
    from kvmmu_edu.vm import Vm


_SIZES: Final = (8, 4, 2, 1)


class Vcpu:
    """One virtual CPU of a :class:`~kvmmu_edu.vm.Vm`.

    :ivar state: what the engine keeps of it
    :ivar name: the name of its task
    """

    def __init__(self, vm: "Vm", state: "KvmVcpu") -> None:
        """Speak for a vCPU that exists."""
        self.vm = vm
        self.state = state
        self.name = f"vcpu{state.vcpu_id}"
        long64 = state.arch.cpu.guest.paging == "long64"
        self._address_bits = 64 if long64 else vm.kvm.choices.maxphyaddr
        self._address_end = 1 << self._address_bits

    @property
    def stats(self) -> dict[str, int]:
        """The statistics of this vCPU, by the kernel's names."""
        return self.vm.counters.vcpus[self.state.vcpu_id]

    def run(self, instructions: Iterable[Instruction], exits: list[Exit]) -> None:
        """Run *instructions*; append the exits to user space to *exits*.

        :raises KvmError: EFAULT, the host has no page for the guest

        Kernel: kvm_arch_vcpu_ioctl_run(), arch/x86/kvm/x86.c (v6.12)
        """
        self.vm.run(vcpu_run(self.state, instructions, exits), "", task=self.name)

    def read(self, gpa: Gpa, size: int = 8) -> list[Exit]:
        """Let the guest load from *gpa*; return the exits to user space.

        :param gpa: guest physical address, bytes; of a guest with page tables of its own, the
            virtual one; likewise below
        :param size: 1, 2, 4 or 8 bytes, within one page
        :raises UsageError: an address or a size that no instruction of the guest can have
        """
        return self._touch("read", gpa, 0, size)

    def write(self, gpa: Gpa, value: int = 0x5A5A5A5A, size: int = 8) -> list[Exit]:
        """Let the guest store *value* at *gpa*; return the exits to user space."""
        return self._touch("write", gpa, value, size)

    def rmw(self, gpa: Gpa, size: int = 8) -> list[Exit]:
        """Let the guest increment what is at *gpa*, locked; return the exits."""
        return self._touch("rmw", gpa, 0, size)

    def exec(self, gpa: Gpa) -> list[Exit]:
        """Let the guest fetch an instruction from *gpa*; return the exits."""
        expect_unsigned("gpa", gpa, self._address_bits)
        return self._run_one("exec", gpa, Instruction(gpa))

    def _touch(self, kind: AccessKind, gpa: Gpa, value: int, size: int) -> list[Exit]:
        """Run an instruction with one access, unless no instruction of the guest can have it."""
        if not 0 <= gpa < self._address_end:
            expect_unsigned("gpa", gpa, self._address_bits)
        if size not in _SIZES:
            raise UsageError(f"size is {size}; expected 1, 2, 4 or 8 bytes")
        if gpa % PAGE_SIZE + size > PAGE_SIZE:
            raise UsageError(f"{size} bytes at {gpa:#x} cross pages; expected them within one")
        if value:
            expect_stored(value, size)
        return self._run_one(kind, gpa, touch(kind, gpa, value, size))

    def _run_one(self, kind: str, gpa: Gpa, instruction: Instruction) -> list[Exit]:
        exits: list[Exit] = []
        vm = self.vm
        text = f"{kind} {gpa:#x}" if vm.trace.keeps_events else kind
        vm.run(vcpu_run(self.state, (instruction,), exits), text, task=self.name)
        return exits

    def collect_dirty_ring(self) -> list[tuple[int, int]]:
        """Take the new entries of the dirty ring; return (slot, page within it) of each.

        The address space is in bits 16 and up of the slot.

        :raises UsageError: this vCPU has no ring; capability 192 makes them, before vCPUs
        Ours: user space does this in memory that it shares with KVM.
        """
        ring = self.state.dirty_ring
        if ring is None:
            raise UsageError("this vCPU has no dirty ring; expected enable_cap(192, BYTES) before")
        return ring.collect()

    def pre_fault_memory(self, gpa: Gpa, size: int) -> int:
        """Map a range before the guest touches it; return how many bytes were left out.

        :param gpa: guest physical address, bytes; *size*: bytes; both in whole pages
        :raises KvmError: ENOENT, no memory at *gpa*; EFAULT, the host has no page there; EINVAL;
            the attribute ``left`` says how many bytes were not mapped

        Kernel: kvm_vcpu_pre_fault_memory(), virt/kvm/kvm_main.c (v6.12)
        """
        expect_unsigned("gpa", gpa, 64)
        expect_unsigned("size", size, 64)
        work = vcpu_pre_fault_memory(self.state, gpa, size)
        return self.vm.run(work, f"pre-fault {gpa:#x} {size:#x}")
