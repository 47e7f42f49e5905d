"""The dirty log: which pages the guest has written since user space asked last.

::

    KVM_GET_DIRTY_LOG         copies the bitmap out, clears it, and arranges that the next
                              write to each of these pages is seen again
    with manual protection    KVM_GET_DIRTY_LOG only copies; KVM_CLEAR_DIRTY_LOG clears what
                              it is told to, when user space has use for it

The order is: take the bits, then protect, then flush.  A guest that writes between taking and
flushing does so through an old TLB entry; its page is in the copy that user space gets, and
after the flush the next write is seen.

Kernel: kvm_get_dirty_log_protect(), virt/kvm/kvm_main.c (v6.12)
"""

from typing import TYPE_CHECKING

import numpy as np

from kvmmu_edu.errors import KvmError, UsageError
from kvmmu_edu.trace.events import PageMarkedDirty
from kvmmu_edu.units import Gfn
from kvmmu_edu.virt.dirty_bitmap import (
    BITS_PER_LONG,
    Words,
    bitmap_words,
    second_dirty_bitmap,
    use_dirty_bitmap,
    words_for,
)
from kvmmu_edu.virt.dirty_ring import dirty_ring_push
from kvmmu_edu.virt.memory_slot import USER_MEM_SLOTS, MemorySlot, slot_dirty_track_enabled
from kvmmu_edu.virt.memslots import id_to_memslot, memslots
from kvmmu_edu.virt.requests import flush_remote_tlbs_memslot
from kvmmu_edu.virt.vcpu import get_running_vcpu

if TYPE_CHECKING:
    from kvmmu_edu.virt.kvm import Kvm


def mark_page_dirty_in_slot(kvm: "Kvm", slot: MemorySlot | None, gfn: Gfn) -> None:
    """Remember that *gfn*, which is in *slot*, was or is about to be written.

    Nothing happens without a slot or without logging.  The bit is set in one atomic step:
    vCPUs do this at the same time.

    Kernel: mark_page_dirty_in_slot(), virt/kvm/kvm_main.c (v6.12)
    """
    if slot is None or not slot_dirty_track_enabled(slot):
        return
    offset = gfn - slot.base_gfn
    if kvm.dirty_ring_size:
        vcpu = get_running_vcpu(kvm)
        if vcpu is None:
            return
        dirty_ring_push(vcpu, slot.as_id << 16 | slot.id, offset)
    elif slot.dirty_bitmap is not None:
        slot.dirty_bitmap[offset // BITS_PER_LONG] |= np.uint64(1 << offset % BITS_PER_LONG)
    else:
        return
    kvm.trace.emit(PageMarkedDirty, slot.serial, gfn)


# --- KVM_GET_DIRTY_LOG ---------------------------------------------------------------------------


async def vm_ioctl_get_dirty_log(kvm: "Kvm", slot_number: int) -> Words:
    """Return the dirty bits of a slot, and clear them unless user space does that itself.

    :param slot_number: the id in the low 16 bits, the address space above
    :returns: a copy of the bitmap, uint64[ceil(npages / 64)], the first page in bit 0
    :raises KvmError: ``ENXIO``, ``EINVAL``, ``ENOENT``; see :func:`_logged_slot`

    Locks: takes slots_lock.
    Kernel: kvm_vm_ioctl_get_dirty_log(), virt/kvm/kvm_main.c (v6.12)
    """
    async with kvm.slots_lock:
        return await get_dirty_log_protect(kvm, slot_number)


async def get_dirty_log_protect(kvm: "Kvm", slot_number: int) -> Words:
    """Do the work of :func:`vm_ioctl_get_dirty_log`.

    Cost: O(npages / 64), and one call into the x86 half for each word that is not zero.
    Locks: slots_lock; takes mmu_lock for writing, unless protection is manual.
    Kernel: kvm_get_dirty_log_protect(), virt/kvm/kvm_main.c (v6.12)
    """
    _refuse_ring(kvm)
    _check_number(kvm, slot_number)
    slot = _logged_slot(kvm, slot_number)
    await kvm.arch.sync_dirty_log(kvm, slot)
    words = bitmap_words(slot)
    if kvm.manual_dirty_log_protect:
        return words.copy()

    taken = second_dirty_bitmap(slot)
    taken[:] = 0
    flush = False
    async with kvm.mmu_lock.write:
        for index in np.flatnonzero(words).tolist():
            flush = True
            mask = int(words[index])
            words[index] = 0
            taken[index] = mask
            offset = index * BITS_PER_LONG
            await kvm.arch.mmu_enable_log_dirty_pt_masked(kvm, slot, offset, mask)
    if flush:
        flush_remote_tlbs_memslot(kvm, slot, "kvm_get_dirty_log_protect")
    return taken.copy()


# --- KVM_CLEAR_DIRTY_LOG -------------------------------------------------------------------------


async def vm_ioctl_clear_dirty_log(
    kvm: "Kvm", slot_number: int, first_page: int, num_pages: int, bitmap: Words
) -> None:
    """Clear the dirty bits that *bitmap* names, and arrange that new writes are seen.

    :param slot_number: the id in the low 16 bits, the address space above
    :param first_page: where in the slot bit 0 of *bitmap* stands, pages; a multiple of 64
    :param num_pages: how many; a multiple of 64 unless they reach the end of the slot
    :param bitmap: uint64[ceil(num_pages / 64)]
    :raises KvmError: ``ENXIO``, ``EINVAL``, ``ENOENT``

    Locks: takes slots_lock.
    Kernel: kvm_vm_ioctl_clear_dirty_log(), virt/kvm/kvm_main.c (v6.12)
    """
    async with kvm.slots_lock:
        await clear_dirty_log_protect(kvm, slot_number, first_page, num_pages, bitmap)


async def clear_dirty_log_protect(
    kvm: "Kvm", slot_number: int, first_page: int, num_pages: int, bitmap: Words
) -> None:
    """Do the work of :func:`vm_ioctl_clear_dirty_log`.

    Cost: O(num_pages / 64), and one call into the x86 half for each word with bits to clear.
    Locks: slots_lock; takes mmu_lock for writing.
    Kernel: kvm_clear_dirty_log_protect(), virt/kvm/kvm_main.c (v6.12)
    """
    _refuse_ring(kvm)
    _check_number(kvm, slot_number)
    if first_page % BITS_PER_LONG:
        raise KvmError("EINVAL", f"first_page {first_page} is not a multiple of 64")
    slot = _logged_slot(kvm, slot_number)
    _check_pages(slot, first_page, num_pages)
    nwords = words_for(num_pages)
    if len(bitmap) < nwords:
        raise UsageError(f"bitmap has {len(bitmap)} words, expected {nwords} for {num_pages} pages")
    await kvm.arch.sync_dirty_log(kvm, slot)

    wanted = second_dirty_bitmap(slot)
    wanted[:nwords] = bitmap[:nwords]
    words = bitmap_words(slot)
    first_word = first_page // BITS_PER_LONG
    flush = False
    async with kvm.mmu_lock.write:
        for i in np.flatnonzero(wanted[:nwords]).tolist():
            index = first_word + i
            # bits behind the end of the slot are never set, so they drop out here
            mask = int(words[index]) & int(wanted[i])
            if not mask:
                continue
            flush = True
            words[index] &= ~np.uint64(mask)
            offset = index * BITS_PER_LONG
            await kvm.arch.mmu_enable_log_dirty_pt_masked(kvm, slot, offset, mask)
    if flush:
        flush_remote_tlbs_memslot(kvm, slot, "kvm_clear_dirty_log_protect")


def _check_pages(slot: MemorySlot, first_page: int, num_pages: int) -> None:
    """Refuse pages outside *slot*, and a number that ends within a word before its end."""
    left = slot.npages - first_page
    if first_page < 0 or not 0 <= num_pages <= left:
        raise KvmError("EINVAL", f"pages {first_page} + {num_pages} are not all in {slot}")
    if num_pages < left and num_pages % BITS_PER_LONG:
        raise KvmError(
            "EINVAL", f"num_pages {num_pages} is not a multiple of 64 and ends within {slot}"
        )


# --- which slot is meant -------------------------------------------------------------------------


def _refuse_ring(kvm: "Kvm") -> None:
    if not use_dirty_bitmap(kvm):
        raise KvmError("ENXIO", "this VM logs to dirty rings, there are no bitmaps")


def _check_number(kvm: "Kvm", slot_number: int) -> None:
    as_id, slot_id = slot_number >> 16, slot_number & 0xFFFF
    if as_id >= len(kvm.memslots) or slot_id >= USER_MEM_SLOTS:
        raise KvmError(
            "EINVAL",
            f"slot {slot_number:#x}: address spaces are below {len(kvm.memslots)}, ids below"
            f" {USER_MEM_SLOTS}",
        )


def _logged_slot(kvm: "Kvm", slot_number: int) -> MemorySlot:
    as_id, slot_id = slot_number >> 16, slot_number & 0xFFFF
    slot = id_to_memslot(memslots(kvm, as_id), slot_id)
    if slot is None:
        raise KvmError("ENOENT", f"there is no slot {slot_id} in address space {as_id}")
    if slot.dirty_bitmap is None:
        raise KvmError("ENOENT", f"{slot} has no dirty bitmap: it is not logged")
    return slot
