"""KVM_SET_USER_MEMORY_REGION: what the kernel checks before it changes a slot, in its order.

Kernel: __kvm_set_memory_region(), virt/kvm/kvm_main.c (v6.12)
"""

from typing import TYPE_CHECKING, Final, NamedTuple

from kvmmu_edu.errors import KvmError
from kvmmu_edu.units import PAGE_SHIFT, PAGE_SIZE, Gfn, Gpa, Hva
from kvmmu_edu.virt.gfn_tree import for_each_memslot_in_gfn_range
from kvmmu_edu.virt.memory_slot import (
    MEM_LOG_DIRTY_PAGES,
    MEM_MAX_NR_PAGES,
    MEM_READONLY,
    MEM_SLOTS_NUM,
    USER_MEM_SLOTS,
    Change,
    MemorySlot,
    alloc_memslot,
    announce_slot,
    forget_slot,
)
from kvmmu_edu.virt.memslots import id_to_memslot, memslots
from kvmmu_edu.virt.set_memslot import set_memslot

if TYPE_CHECKING:
    from kvmmu_edu.virt.kvm import Kvm
    from kvmmu_edu.virt.memslots import Memslots

#: what may be set through this ioctl; its successor with the longer struct knows more
SET_USER_MEMORY_REGION_V1_FLAGS: Final = MEM_LOG_DIRTY_PAGES | MEM_READONLY
#: the first address that no user may name, with page tables of four levels
TASK_SIZE_MAX: Final = (1 << 47) - PAGE_SIZE

_U64: Final = (1 << 64) - 1


class UserspaceMemoryRegion(NamedTuple):
    """What user space hands over.

    :ivar slot: the id in the low 16 bits, the address space above
    :ivar flags: ``MEM_LOG_DIRTY_PAGES`` and ``MEM_READONLY``
    :ivar guest_phys_addr: where the guest sees it, gpa in bytes
    :ivar memory_size: bytes; 0 deletes the slot
    :ivar userspace_addr: where it lies in the host process, hva in bytes

    Kernel: struct kvm_userspace_memory_region, include/uapi/linux/kvm.h (v6.12)
    """

    slot: int
    flags: int
    guest_phys_addr: Gpa
    memory_size: int
    userspace_addr: Hva

    @property
    def id(self) -> int:
        """The number of the slot in its address space."""
        return self.slot & 0xFFFF

    @property
    def as_id(self) -> int:
        """The address space."""
        return self.slot >> 16


def describe_region(kvm: "Kvm", mem: UserspaceMemoryRegion) -> str:
    """Return in a few words what user space asks for, for a timeline.

    Ours: the ioctl is one, what it does depends on the slot that is there.
    """
    flags = (
        "".join(
            letter
            for letter, bit in (("r", MEM_READONLY), ("d", MEM_LOG_DIRTY_PAGES))
            if mem.flags & bit
        )
        or "-"
    )
    if not mem.memory_size:
        return f"delete {mem.slot}"
    old = None
    if mem.as_id < len(kvm.memslots):
        old = id_to_memslot(memslots(kvm, mem.as_id), mem.id)
    if old is None:
        logged = f" {flags}" if mem.flags else ""
        return f"slot {mem.slot} {mem.guest_phys_addr:#x} {mem.memory_size:#x}{logged}"
    if old.base_gfn << PAGE_SHIFT != mem.guest_phys_addr:
        return f"move {mem.slot} {mem.guest_phys_addr:#x}"
    return f"flags {mem.slot} {flags}"


async def vm_ioctl_set_memory_region(kvm: "Kvm", mem: UserspaceMemoryRegion) -> None:
    """Create, delete, move or change a slot: the ioctl KVM_SET_USER_MEMORY_REGION.

    :raises KvmError: ``EINVAL``, ``EEXIST`` (overlap), ``ENOMEM``

    Kernel: kvm_vm_ioctl_set_memory_region(); kvm_vm_ioctl(), virt/kvm/kvm_main.c (v6.12)
    In v6.1: flags are looked at after the id; either is EINVAL.
    """
    _refuse(
        mem.flags & ~SET_USER_MEMORY_REGION_V1_FLAGS,
        f"flags {mem.flags:#x} has bits besides LOG_DIRTY_PAGES (1) and READONLY (2)",
    )
    _refuse(
        mem.id >= USER_MEM_SLOTS,
        f"slot {mem.id} is not below {USER_MEM_SLOTS}, the number of slots for user space",
    )
    await set_memory_region(kvm, mem)


async def set_memory_region(kvm: "Kvm", mem: UserspaceMemoryRegion) -> None:
    """Take slots_lock and change a slot.

    :raises KvmError: see :func:`_set_memory_region`

    Kernel: kvm_set_memory_region(), virt/kvm/kvm_main.c (v6.12)
    """
    async with kvm.slots_lock:
        await _set_memory_region(kvm, mem)


async def _set_memory_region(kvm: "Kvm", mem: UserspaceMemoryRegion) -> None:
    """Check what user space wants, see which change it is, and carry it out.

    :raises KvmError: ``EINVAL``; ``EIO`` when the page count is broken; ``EEXIST`` when the
        range overlaps another slot; ``ENOMEM``

    Locks: slots_lock.
    Kernel: __kvm_set_memory_region(), virt/kvm/kvm_main.c (v6.12)
    """
    check_memory_region_flags(mem)
    _check_region(kvm, mem)
    slots = memslots(kvm, mem.as_id)
    old = id_to_memslot(slots, mem.id)
    if mem.memory_size == 0:
        await _delete(kvm, mem, old)
        return
    change = _which_change(kvm, mem, old)
    if change is None:
        return
    base_gfn = mem.guest_phys_addr >> PAGE_SHIFT
    npages = mem.memory_size >> PAGE_SHIFT
    if change in (Change.CREATE, Change.MOVE):
        _refuse_overlap(slots, mem.id, base_gfn, base_gfn + npages)

    new = alloc_memslot(kvm)
    new.as_id, new.id, new.flags = mem.as_id, mem.id, mem.flags
    new.base_gfn, new.npages, new.userspace_addr = base_gfn, npages, mem.userspace_addr
    announce_slot(kvm, new)
    try:
        await set_memslot(kvm, old, new, change)
    except KvmError:
        forget_slot(kvm, new)
        raise


def check_memory_region_flags(mem: UserspaceMemoryRegion) -> None:
    """Refuse flags that this kernel does not know.

    Kernel: check_memory_region_flags(), virt/kvm/kvm_main.c (v6.12)
    Simplified: no private memory, so GUEST_MEMFD is never valid.
    """
    valid_flags = MEM_LOG_DIRTY_PAGES | MEM_READONLY
    _refuse(mem.flags & ~valid_flags, f"flags {mem.flags:#x} has bits besides {valid_flags:#x}")


def _check_region(kvm: "Kvm", mem: UserspaceMemoryRegion) -> None:
    """Refuse addresses and sizes that cannot be, without a look at the slots.

    Kernel: __kvm_set_memory_region(), virt/kvm/kvm_main.c (v6.12)
    """
    size, gpa, hva = mem.memory_size, mem.guest_phys_addr, mem.userspace_addr
    _refuse(size % PAGE_SIZE, f"memory_size {size:#x} is not a multiple of a page")
    _refuse(gpa % PAGE_SIZE, f"guest_phys_addr {gpa:#x} is not page aligned")
    _refuse(hva % PAGE_SIZE, f"userspace_addr {hva:#x} is not page aligned")
    _refuse(
        not access_ok(hva, size),
        f"[{hva:#x}, {hva + size:#x}) reaches beyond the addresses of user space",
    )
    _refuse(
        mem.as_id >= len(kvm.memslots),
        f"address space {mem.as_id} of slot {mem.slot:#x}: there are {len(kvm.memslots)}",
    )
    _refuse(
        mem.id >= MEM_SLOTS_NUM,
        f"slot {mem.id} is not below {MEM_SLOTS_NUM}, the number of slots",
    )
    _refuse(gpa + size > _U64, f"guest_phys_addr {gpa:#x} + {size:#x} wraps around 2^64")
    _refuse(
        size >> PAGE_SHIFT > MEM_MAX_NR_PAGES,
        f"{size >> PAGE_SHIFT} pages are more than {MEM_MAX_NR_PAGES} in one slot",
    )


def access_ok(hva: Hva, nbytes: int) -> bool:
    """Return whether ``[hva, hva + nbytes)`` lies where user addresses may lie.

    Nothing need be mapped there.

    Kernel: __kvm_set_memory_region(), virt/kvm/kvm_main.c (v6.12)
    Simplified: four levels of host page tables, so addresses end at 2^47.
    """
    return hva + nbytes <= TASK_SIZE_MAX


async def _delete(kvm: "Kvm", mem: UserspaceMemoryRegion, old: MemorySlot | None) -> None:
    if old is None:
        raise KvmError("EINVAL", f"there is no slot {mem.id} to delete")
    if kvm.nr_memslot_pages < old.npages:
        raise KvmError(
            "EIO", f"{old} has {old.npages} pages, all slots together {kvm.nr_memslot_pages}"
        )
    await set_memslot(kvm, old, None, Change.DELETE)


def _which_change(kvm: "Kvm", mem: UserspaceMemoryRegion, old: MemorySlot | None) -> Change | None:
    """Return which change is wanted, or None if all is as it should be already.

    Kernel: __kvm_set_memory_region(), virt/kvm/kvm_main.c (v6.12)
    """
    npages = mem.memory_size >> PAGE_SHIFT
    if old is None:
        _refuse(
            kvm.nr_memslot_pages + npages > _U64,
            f"{kvm.nr_memslot_pages} pages in all slots and {npages} more wrap around 2^64",
        )
        return Change.CREATE
    _refuse(
        mem.userspace_addr != old.userspace_addr,
        f"{old} is at hva {old.userspace_addr:#x}; it cannot go to {mem.userspace_addr:#x}",
    )
    _refuse(npages != old.npages, f"{old} has {old.npages} pages; it cannot get {npages}")
    _refuse((mem.flags ^ old.flags) & MEM_READONLY, f"READONLY of {old} cannot be changed")
    if mem.guest_phys_addr >> PAGE_SHIFT != old.base_gfn:
        return Change.MOVE
    return Change.FLAGS_ONLY if mem.flags != old.flags else None


def _refuse_overlap(slots: "Memslots", slot_id: int, start: Gfn, end: Gfn) -> None:
    other = check_memslot_overlap(slots, slot_id, start, end)
    if other is not None:
        raise KvmError("EEXIST", f"slot {slot_id} [gfn {start:#x}, {end:#x}) overlaps {other}")


def check_memslot_overlap(
    slots: "Memslots", slot_id: int, start: Gfn, end: Gfn
) -> MemorySlot | None:
    """Return a slot that overlaps ``[start, end)``, gfn, other than *slot_id* itself.

    Kernel: kvm_check_memslot_overlap(), virt/kvm/kvm_main.c (v6.12)
    """
    for slot in for_each_memslot_in_gfn_range(slots, start, end):
        if slot.id != slot_id:
            return slot
    return None


def _refuse(condition: object, why: str) -> None:
    if condition:
        raise KvmError("EINVAL", why)
