"""The dirty ring: each vCPU lists the pages that it writes, and user space takes them off.

A bitmap is as large as the slot, however few pages are written.  A ring is as large as what
was written::

      reset_index                     dirty_index
          |                               |
    ------[  RESET  RESET  DIRTY  DIRTY  )------
             user space    not yet
             took these    taken

KVM adds at ``dirty_index`` and marks entries DIRTY.  User space takes an entry and marks it
RESET.  KVM_RESET_DIRTY_RINGS walks from ``reset_index`` over the RESET ones and arranges that
the next write to these pages is seen.  A vCPU whose ring is nearly full does not enter the
guest until that happens.

Kernel: virt/kvm/dirty_ring.c (v6.12)
Simplified: no reserve for pages that the CPU logs by itself (PML), and no bitmap beside the
ring, which x86 does not have.
"""

from typing import TYPE_CHECKING, Final

from kvmmu_edu.errors import KernelBug, KvmError, ensure
from kvmmu_edu.units import PAGE_SIZE
from kvmmu_edu.virt.dirty_bitmap import BITS_PER_LONG
from kvmmu_edu.virt.memory_slot import USER_MEM_SLOTS
from kvmmu_edu.virt.memslots import id_to_memslot, memslots
from kvmmu_edu.virt.requests import check_request, flush_remote_tlbs, make_request
from kvmmu_edu.virt.vcpu import REQ_DIRTY_RING_SOFT_FULL, KvmVcpu

if TYPE_CHECKING:
    from kvmmu_edu.virt.kvm import Kvm

DIRTY_GFN_F_DIRTY: Final = 1 << 0
DIRTY_GFN_F_RESET: Final = 1 << 1

#: bytes of an entry: flags, slot, offset
DIRTY_GFN_BYTES: Final = 16
#: entries that are kept free, since a vCPU finishes what it is doing before it stops
DIRTY_RING_RSVD_ENTRIES: Final = 64
DIRTY_RING_MAX_ENTRIES: Final = 65536


class DirtyGfn:
    """An entry: a page of a slot, and who has it.

    :ivar flags: 0, ``DIRTY_GFN_F_DIRTY`` or with ``DIRTY_GFN_F_RESET``
    :ivar slot: the id in the low 16 bits, the address space above
    :ivar offset: the page within the slot, pages

    Kernel: struct kvm_dirty_gfn, include/uapi/linux/kvm.h (v6.12)
    """

    __slots__ = ("flags", "offset", "slot")

    def __init__(self) -> None:
        """Make an empty entry."""
        self.flags = 0
        self.slot = 0
        self.offset = 0


class DirtyRing:
    """The ring of one vCPU.

    :ivar dirty_index: how many entries were ever added
    :ivar reset_index: how many of them were ever reset
    :ivar soft_limit: at so many entries in use the vCPU stops
    :ivar dirty_gfns: the entries, a power of two

    Kernel: struct kvm_dirty_ring, include/linux/kvm_dirty_ring.h (v6.12)
    """

    __slots__ = ("dirty_gfns", "dirty_index", "fetch_index", "reset_index", "soft_limit")

    def __init__(self, nbytes: int) -> None:
        """Make an empty ring of *nbytes* bytes.

        Kernel: kvm_dirty_ring_alloc(), virt/kvm/dirty_ring.c (v6.12)
        """
        size = nbytes // DIRTY_GFN_BYTES
        self.dirty_gfns = [DirtyGfn() for _ in range(size)]
        self.soft_limit = size - DIRTY_RING_RSVD_ENTRIES
        # its vCPU
        self.dirty_index = 0
        # slots_lock
        self.reset_index = 0
        # user space; no field of the kernel's
        self.fetch_index = 0

    def entry(self, index: int) -> DirtyGfn:
        """Return the entry for the running number *index*.

        Ours.
        """
        return self.dirty_gfns[index & (len(self.dirty_gfns) - 1)]

    def used(self) -> int:
        """Return how many entries are in use.

        Kernel: kvm_dirty_ring_used(), virt/kvm/dirty_ring.c (v6.12)
        """
        return self.dirty_index - self.reset_index

    def soft_full(self) -> bool:
        """Return whether the vCPU has to stop.

        Kernel: kvm_dirty_ring_soft_full(), virt/kvm/dirty_ring.c (v6.12)
        """
        return self.used() >= self.soft_limit

    def collect(self) -> list[tuple[int, int]]:
        """Take all new entries as user space does; return (slot, offset) of each.

        Ours: what a program does with the ring that it has mapped.
        """
        taken = []
        while self.entry(self.fetch_index).flags == DIRTY_GFN_F_DIRTY:
            entry = self.entry(self.fetch_index)
            taken.append((entry.slot, entry.offset))
            entry.flags |= DIRTY_GFN_F_RESET
            self.fetch_index += 1
        return taken

    def check(self) -> None:
        """Raise unless the indices are in order and the flags agree with them."""
        ensure(
            0 <= self.used() <= len(self.dirty_gfns),
            f"dirty_index {self.dirty_index} and reset_index {self.reset_index} differ by"
            f" {self.used()}, the ring has {len(self.dirty_gfns)} entries",
        )
        in_use = sum(entry.flags != 0 for entry in self.dirty_gfns)
        ensure(
            in_use == self.used(),
            f"{in_use} entries have flags but {self.used()} are in use by the indices",
        )

    def snapshot(self) -> dict[str, object]:
        """Return the ring as plain values."""
        return {
            "dirty_index": self.dirty_index,
            "reset_index": self.reset_index,
            "fetch_index": self.fetch_index,
            "entries": tuple(
                (entry.flags, entry.slot, entry.offset)
                for entry in map(self.entry, range(self.reset_index, self.dirty_index))
            ),
        }


def vm_ioctl_enable_dirty_log_ring(kvm: "Kvm", nbytes: int) -> None:
    """Let the vCPUs that will be made log to rings of *nbytes* bytes.

    :raises KvmError: ``EINVAL``: no power of two, too small, already enabled, or there are
        vCPUs; ``E2BIG``

    Kernel: kvm_vm_ioctl_enable_dirty_log_ring(), virt/kvm/kvm_main.c (v6.12)
    """
    if nbytes <= 0 or nbytes & (nbytes - 1):
        raise KvmError("EINVAL", f"a ring of {nbytes} bytes: expected a power of two")
    least = max(DIRTY_RING_RSVD_ENTRIES * DIRTY_GFN_BYTES, PAGE_SIZE)
    if nbytes < least:
        raise KvmError("EINVAL", f"a ring of {nbytes} bytes: expected at least {least}")
    if nbytes > DIRTY_RING_MAX_ENTRIES * DIRTY_GFN_BYTES:
        raise KvmError("E2BIG", f"a ring of {nbytes} bytes: expected at most 1048576")
    if kvm.dirty_ring_size:
        raise KvmError("EINVAL", f"rings of {kvm.dirty_ring_size} bytes are enabled already")
    if kvm.vcpus:
        raise KvmError(
            "EINVAL", f"expected before any vCPU is made; there is {len(kvm.vcpus)} already"
        )
    kvm.dirty_ring_size = nbytes


def dirty_ring_push(vcpu: KvmVcpu, slot_number: int, offset: int) -> None:
    """Add a page to the ring of *vcpu*; ask the vCPU to stop when it is nearly full.

    Kernel: kvm_dirty_ring_push(), virt/kvm/dirty_ring.c (v6.12)
    In v6.1: no request; the vCPU compared before each entry.
    """
    ring = vcpu.dirty_ring
    assert ring is not None
    if ring.used() >= len(ring.dirty_gfns):
        raise KernelBug(f"the dirty ring of vCPU {vcpu.vcpu_id} is full")
    entry = ring.entry(ring.dirty_index)
    entry.slot = slot_number
    entry.offset = offset
    entry.flags = DIRTY_GFN_F_DIRTY
    ring.dirty_index += 1
    if ring.soft_full() and not vcpu.kvm.choices.is_6_1:
        make_request(vcpu, REQ_DIRTY_RING_SOFT_FULL)


def dirty_ring_check_request(vcpu: KvmVcpu) -> bool:
    """Return whether *vcpu* must leave to user space, because its ring is nearly full.

    Kernel: kvm_dirty_ring_check_request(), virt/kvm/dirty_ring.c (v6.12)
    In v6.1: asks the ring itself, kvm_dirty_ring_soft_full().
    """
    ring = vcpu.dirty_ring
    if ring is not None and vcpu.kvm.choices.is_6_1:
        return ring.soft_full()
    if ring is None or not check_request(vcpu, REQ_DIRTY_RING_SOFT_FULL):
        return False
    if not ring.soft_full():
        return False
    make_request(vcpu, REQ_DIRTY_RING_SOFT_FULL)
    return True


async def vm_ioctl_reset_dirty_pages(kvm: "Kvm") -> int:
    """Give back what user space took from all rings; return how many entries that were.

    :raises KvmError: ``EINVAL`` without rings

    Locks: takes slots_lock; the flush comes after it.
    Kernel: kvm_vm_ioctl_reset_dirty_pages(), virt/kvm/kvm_main.c (v6.12)
    """
    if not kvm.dirty_ring_size:
        raise KvmError("EINVAL", "this VM has no dirty rings")
    cleared = 0
    async with kvm.slots_lock:
        for vcpu in kvm.vcpus:
            if vcpu.dirty_ring is not None:
                cleared += await dirty_ring_reset(kvm, vcpu.dirty_ring)
    if cleared:
        flush_remote_tlbs(kvm, "kvm_vm_ioctl_reset_dirty_pages")
    return cleared


async def dirty_ring_reset(kvm: "Kvm", ring: DirtyRing) -> int:
    """Protect the pages that user space took, and free their entries; return how many.

    Pages of one slot that lie within 64 of each other are protected together.

    Locks: slots_lock.
    Kernel: kvm_dirty_ring_reset(), virt/kvm/dirty_ring.c (v6.12)
    """
    count = 0
    slot_number = base = mask = 0
    while ring.entry(ring.reset_index).flags & DIRTY_GFN_F_RESET:
        entry = ring.entry(ring.reset_index)
        entry.flags = 0
        ring.reset_index += 1
        count += 1
        if mask and entry.slot == slot_number:
            ahead = entry.offset - base
            if 0 <= ahead < BITS_PER_LONG:
                mask |= 1 << ahead
                continue
            if -BITS_PER_LONG < ahead < 0 and not mask << -ahead >> BITS_PER_LONG:
                base = entry.offset
                mask = mask << -ahead | 1
                continue
        await _reset_dirty_gfn(kvm, slot_number, base, mask)
        slot_number, base, mask = entry.slot, entry.offset, 1
    await _reset_dirty_gfn(kvm, slot_number, base, mask)
    return count


async def _reset_dirty_gfn(kvm: "Kvm", slot_number: int, offset: int, mask: int) -> None:
    """Arrange that the next write to the pages of *mask* from *offset* on is seen.

    The slot may be another one by now, or gone: the numbers come from user space.

    Kernel: kvm_reset_dirty_gfn(), virt/kvm/dirty_ring.c (v6.12)
    """
    as_id, slot_id = slot_number >> 16, slot_number & 0xFFFF
    if not mask or as_id >= len(kvm.memslots) or slot_id >= USER_MEM_SLOTS:
        return
    slot = id_to_memslot(memslots(kvm, as_id), slot_id)
    if slot is None or offset + mask.bit_length() > slot.npages:
        return
    async with kvm.mmu_lock.write:
        await kvm.arch.mmu_enable_log_dirty_pt_masked(kvm, slot, offset, mask)
