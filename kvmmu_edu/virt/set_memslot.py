"""The four ways to change a slot, from the locks to the events.

=========  ==================================================  =====  =====  ==========
change     what happens to the two sets                        swaps  waits  generation
=========  ==================================================  =====  =====  ==========
CREATE     new is added                                        1      1      + 2
FLAGS      old is replaced by new                              1      1      + 2
DELETE     old is replaced by an INVALID copy, then removed    2      2      + 4
MOVE       old is replaced by an INVALID copy, then by new     2      2      + 4
=========  ==================================================  =====  =====  ==========

Why two swaps?  Before a slot goes away, every mapping made through it must go, and no new one
may be made meanwhile.  The INVALID copy stands in: who finds it knows that there was a slot
and that it has to try again.  The old slot survives beside it, for the case that a later step
fails and everything has to be as before.

Kernel: kvm_set_memslot(), virt/kvm/kvm_main.c (v6.12)
Simplified: allocations of the generic half cannot fail; no guest memory caches of encrypted
VMs to write back (kvm_arch_guest_memory_reclaimed).
"""

from typing import TYPE_CHECKING

from kvmmu_edu.errors import KvmError
from kvmmu_edu.trace.events import (
    ArchCommitMemoryRegion,
    ArchFlushShadowMemslot,
    ArchPrepareMemoryRegion,
    SetMemslot,
)
from kvmmu_edu.virt.dirty_bitmap import (
    alloc_dirty_bitmap,
    dirty_log_manual_protect_and_init_set,
    set_all,
    use_dirty_bitmap,
)
from kvmmu_edu.virt.memory_slot import (
    MEM_LOG_DIRTY_PAGES,
    MEMSLOT_INVALID,
    Change,
    MemorySlot,
    alloc_memslot,
    announce_slot,
    copy_memslot,
    forget_slot,
    free_memslot,
    serial_of,
    slot_dirty_track_enabled,
)
from kvmmu_edu.virt.memslots import memslots_get_as_id, replace_memslot
from kvmmu_edu.virt.swap import activate_memslot, swap_active_memslots

if TYPE_CHECKING:
    from kvmmu_edu.virt.kvm import Kvm


async def set_memslot(
    kvm: "Kvm", old: MemorySlot | None, new: MemorySlot | None, change: Change
) -> None:
    """Carry out *change*; on failure everything is as before, but for the generation.

    Takes slots_arch_lock; the (last) swap releases it.

    :raises KvmError: what the x86 half answers, ``ENOMEM`` above all

    Locks: slots_lock.
    Kernel: kvm_set_memslot(), virt/kvm/kvm_main.c (v6.12)
    """
    as_id = memslots_get_as_id(old, new)
    kvm.trace.emit(SetMemslot, as_id, serial_of(old), serial_of(new), int(change))
    await kvm.slots_arch_lock.lock()

    invalid_slot: MemorySlot | None = None
    if change in (Change.DELETE, Change.MOVE):
        assert old is not None
        invalid_slot = await invalidate_memslot(kvm, old)
    try:
        await prepare_memory_region(kvm, old, new, change)
    except KvmError:
        await _undo(kvm, old, invalid_slot)
        raise

    if change == Change.CREATE:
        await create_memslot(kvm, new)
    elif change == Change.DELETE:
        await delete_memslot(kvm, old, invalid_slot)
    elif change == Change.MOVE:
        await move_memslot(kvm, old, new, invalid_slot)
    else:
        await update_flags_memslot(kvm, old, new)
    if invalid_slot is not None:
        forget_slot(kvm, invalid_slot)
    await commit_memory_region(kvm, old, new, change)


async def _undo(kvm: "Kvm", old: MemorySlot | None, invalid_slot: MemorySlot | None) -> None:
    """Take back the INVALID copy, if there is one, and release slots_arch_lock.

    The inactive set still has the old slot: it is enough to make that set active again.

    Kernel: kvm_set_memslot(), virt/kvm/kvm_main.c (v6.12)
    """
    if invalid_slot is None:
        kvm.slots_arch_lock.unlock()
        return
    await activate_memslot(kvm, invalid_slot, old)
    forget_slot(kvm, invalid_slot)


# --- what the changes are made of ----------------------------------------------------------------


async def invalidate_memslot(kvm: "Kvm", old: MemorySlot) -> MemorySlot:
    """Let readers find an INVALID copy instead of *old*, and remove all mappings of *old*.

    Return the copy.  Only the active set has it; the inactive one keeps *old*.

    Locks: slots_lock; slots_arch_lock, which is released and taken again.
    Kernel: kvm_invalidate_memslot(), virt/kvm/kvm_main.c (v6.12)
    """
    invalid_slot = alloc_memslot(kvm)
    copy_memslot(invalid_slot, old)
    invalid_slot.flags |= MEMSLOT_INVALID
    announce_slot(kvm, invalid_slot)
    replace_memslot(kvm, old, invalid_slot)
    await swap_active_memslots(kvm, old.as_id)

    # the kernel hands out the old slot here; a reviewer wanted the copy, and was not followed
    kvm.trace.emit(ArchFlushShadowMemslot, old.as_id, old.serial)
    await kvm.arch.flush_shadow_memslot(kvm, old)

    await kvm.slots_arch_lock.lock()
    # while the lock was free, a vCPU may have given arrays (rmaps) to the slot that it found,
    # which is the copy
    old.arch = None if invalid_slot.arch is None else invalid_slot.arch.copy()
    return invalid_slot


async def create_memslot(kvm: "Kvm", new: MemorySlot | None) -> None:
    """Add *new* to both sets.

    Kernel: kvm_create_memslot(), virt/kvm/kvm_main.c (v6.12)
    """
    replace_memslot(kvm, None, new)
    await activate_memslot(kvm, None, new)


async def delete_memslot(
    kvm: "Kvm", old: MemorySlot | None, invalid_slot: MemorySlot | None
) -> None:
    """Remove *old* from the inactive set and, after the swap, its copy from the other.

    Kernel: kvm_delete_memslot(), virt/kvm/kvm_main.c (v6.12)
    """
    replace_memslot(kvm, old, None)
    await activate_memslot(kvm, invalid_slot, None)


async def move_memslot(
    kvm: "Kvm", old: MemorySlot | None, new: MemorySlot | None, invalid_slot: MemorySlot | None
) -> None:
    """Replace *old* in the inactive set by *new* and, after the swap, its copy in the other.

    Kernel: kvm_move_memslot(), virt/kvm/kvm_main.c (v6.12)
    """
    replace_memslot(kvm, old, new)
    await activate_memslot(kvm, invalid_slot, new)


async def update_flags_memslot(kvm: "Kvm", old: MemorySlot | None, new: MemorySlot | None) -> None:
    """Replace *old* by *new* in both sets; the mappings stay valid all the time.

    Kernel: kvm_update_flags_memslot(), virt/kvm/kvm_main.c (v6.12)
    """
    replace_memslot(kvm, old, new)
    await activate_memslot(kvm, old, new)


async def prepare_memory_region(
    kvm: "Kvm", old: MemorySlot | None, new: MemorySlot | None, change: Change
) -> None:
    """Give *new* what it needs: its dirty bitmap, and what the x86 half keeps for it.

    :raises KvmError: what the x86 half answers

    Kernel: kvm_prepare_memory_region(), virt/kvm/kvm_main.c (v6.12)
    """
    made_bitmap = False
    if new is not None:
        if not slot_dirty_track_enabled(new):
            new.dirty_bitmap = None
        elif old is not None and old.dirty_bitmap is not None:
            new.dirty_bitmap = old.dirty_bitmap
        elif use_dirty_bitmap(kvm):
            alloc_dirty_bitmap(kvm, new)
            made_bitmap = True
            if dirty_log_manual_protect_and_init_set(kvm):
                set_all(new)
    slot = old if new is None else new
    assert slot is not None
    kvm.trace.emit(ArchPrepareMemoryRegion, slot.as_id, slot.serial)
    try:
        await kvm.arch.prepare_memory_region(kvm, old, new, change)
    except KvmError:
        if made_bitmap and new is not None:
            new.dirty_bitmap = None
        raise


async def commit_memory_region(
    kvm: "Kvm", old: MemorySlot | None, new: MemorySlot | None, change: Change
) -> None:
    """Count, let the x86 half finish, and free what nobody can find any more.

    After MOVE and FLAGS only the old slot itself is freed: *new* may use what it pointed to.

    Kernel: kvm_commit_memory_region(), virt/kvm/kvm_main.c (v6.12)
    In v6.1: nr_memslots_dirty_logging is not kept; nothing there reads it.
    """
    old_flags = 0 if old is None else old.flags
    new_flags = 0 if new is None else new.flags
    if change == Change.DELETE and old is not None:
        kvm.nr_memslot_pages -= old.npages
    elif change == Change.CREATE and new is not None:
        kvm.nr_memslot_pages += new.npages
    if (old_flags ^ new_flags) & MEM_LOG_DIRTY_PAGES:
        kvm.nr_memslots_dirty_logging.add_return(1 if new_flags & MEM_LOG_DIRTY_PAGES else -1)

    slot = old if new is None else new
    assert slot is not None
    kvm.trace.emit(ArchCommitMemoryRegion, slot.as_id, slot.serial)
    await kvm.arch.commit_memory_region(kvm, old, new, change)

    if old is None:
        return
    if new is None:
        free_memslot(kvm, old)
    else:
        old.dirty_bitmap = None
        forget_slot(kvm, old)
