"""What KVM does itself when an instruction cannot be let through.

An access to memory is done through the slot and the host's mapping of it; an access where
there is no memory, or a write where none is allowed, goes to user space as an MMIO exit.

Kernel: x86_emulate_instruction(), arch/x86/kvm/x86.c (v6.12)
Simplified: no decoding of instructions; the model knows what an instruction touches.
"""

from typing import TYPE_CHECKING

from kvmmu_edu.trace.events import MmioExit
from kvmmu_edu.units import Gpa
from kvmmu_edu.virt.dirty_log import mark_page_dirty_in_slot
from kvmmu_edu.virt.gfn_tree import vcpu_gfn_to_memslot
from kvmmu_edu.virt.memory_slot import MEM_READONLY, is_visible_memslot
from kvmmu_edu.x86.fault import vcpu_match_mmio_gpa
from kvmmu_edu.x86.guest import Access, Exit, Instruction

if TYPE_CHECKING:
    from kvmmu_edu.units import Hva
    from kvmmu_edu.virt.memory_slot import MemorySlot
    from kvmmu_edu.virt.vcpu import KvmVcpu

_EXIT_INTERNAL_ERROR = 17
_INTERNAL_ERROR_EMULATION = 1
_ALL_ONES = -1


async def x86_emulate_instruction(
    vcpu: "KvmVcpu", instruction: Instruction, exits: list[Exit], *, fetched: bool
) -> bool:
    """Do the accesses of *instruction*; return false if the vCPU cannot go on.

    :param exits: the exits to user space are appended here
    :param fetched: whether the CPU could fetch the instruction; KVM cannot fetch from where
        there is no memory either
    Kernel: x86_emulate_instruction(), arch/x86/kvm/x86.c (v6.12)
    """
    if not fetched:
        rip = instruction.rip or 0
        exits.append(
            Exit(
                "INTERNAL_ERROR",
                code=_EXIT_INTERNAL_ERROR,
                suberror=_INTERNAL_ERROR_EMULATION,
                rip=rip,
                rdi=instruction.rdi,
            )
        )
        return False
    for access in instruction.accesses:
        gpa = vcpu.arch.cpu.to_gpa(access.gva)
        if gpa >= 0:
            await _emulate(vcpu, access, gpa, exits)
    return True


def retry_instruction(vcpu: "KvmVcpu", instruction: Instruction, gpa: Gpa) -> bool:
    """Return whether the guest shall first try an instruction once more.

    If a shadow page made it fault, that page is zapped and the instruction succeeds; 6.1 tries
    this for every instruction that does not look like a write to a page table, whether there
    was a shadow page or not.  The second fault at the same place is emulated.

    :param gpa: where it faulted, bytes
    In v6.1: retry_instruction(), arch/x86/kvm/x86.c; 6.12 retries only after it has zapped a
        shadow page.
    Simplified: a plain store is what page tables are written with; the decoder's flag says the
        same of the instructions that guests have here.
    """
    arch = vcpu.arch
    here, last = (instruction.rip, gpa), arch.last_retry
    arch.last_retry = None
    writes_tables = all(access.kind == "write" for access in instruction.accesses)
    if writes_tables or vcpu_match_mmio_gpa(vcpu, gpa) or here == last:
        return False
    arch.last_retry = here
    return True


async def _emulate(vcpu: "KvmVcpu", access: Access, gpa: Gpa, exits: list[Exit]) -> None:
    slot = vcpu_gfn_to_memslot(vcpu, gpa >> 12)
    if not is_visible_memslot(slot):
        slot = None
    value = access.value
    if access.kind != "write":
        if slot is None:
            _mmio(vcpu, gpa, access, exits, is_write=False)
            value = _ALL_ONES
        else:
            value = await vcpu.kvm.mm.read(_hva(slot, gpa), access.size)
    if access.kind == "read":
        return
    if access.kind == "rmw":
        value = (value + (access.value or 1)) & ((1 << 8 * access.size) - 1)
    if slot is None or slot.flags & MEM_READONLY:
        _mmio(vcpu, gpa, access, exits, is_write=True)
        return
    await vcpu.kvm.mm.write(_hva(slot, gpa), value, access.size)
    mark_page_dirty_in_slot(vcpu.kvm, slot, gpa >> 12)


def _hva(slot: "MemorySlot", gpa: Gpa) -> "Hva":
    return slot.userspace_addr + gpa - (slot.base_gfn << 12)


def _mmio(vcpu: "KvmVcpu", gpa: Gpa, access: Access, exits: list[Exit], *, is_write: bool) -> None:
    exits.append(Exit("MMIO", gpa, access.size, is_write))
    vcpu.kvm.trace.emit(MmioExit, vcpu.vcpu_id, gpa, access.size, is_write)
