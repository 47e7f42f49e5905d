"""The switch from one set of slots to the other, and the generations that mark it.

::

    generation of the new active set      4|bit63          6
                                     ---------|------------|--------->
    readers find                     old set  |   new set
                                              ^            ^
                                     pointer switched   no reader of the old set is left

What was remembered about the old set (a vCPU's last slot, an MMIO mark) carries generation 4,
what readers find in between carries bit 63; neither equals 6.  So nothing that was looked up
before the change is believed after it.

Kernel: kvm_swap_active_memslots(), virt/kvm/kvm_main.c (v6.12)
"""

from typing import TYPE_CHECKING

from kvmmu_edu.errors import ensure
from kvmmu_edu.sync.task import Suspend
from kvmmu_edu.trace.events import GenerationChanged, SwapActiveMemslots, SynchronizeSrcu
from kvmmu_edu.virt.memslots import (
    MEMSLOT_GEN_UPDATE_IN_PROGRESS,
    get_inactive_memslots,
    memslots,
    memslots_get_as_id,
    replace_memslot,
)

if TYPE_CHECKING:
    from kvmmu_edu.virt.kvm import Kvm
    from kvmmu_edu.virt.memory_slot import MemorySlot
    from kvmmu_edu.virt.memslots import Memslots


class InvalidationsOver:
    """The request of a task that waits until no MMU notifier call is under way.

    Ours: the kernel sleeps on ``kvm->mn_memslots_update_rcuwait``.
    """

    __slots__ = ("kvm",)

    def __init__(self, kvm: "Kvm") -> None:
        """Wait for the invalidations of *kvm*."""
        self.kvm = kvm

    def ready(self) -> bool:
        """Return whether none is left."""
        return self.kvm.mn_active_invalidate_count == 0

    def describe(self) -> str:
        """Return how many are left."""
        return f"{self.kvm.mn_active_invalidate_count} invalidations by MMU notifiers to end"


async def swap_active_memslots(kvm: "Kvm", as_id: int) -> None:
    """Make the inactive set the active one, and return when nobody reads the other.

    Releases slots_arch_lock halfway: a vCPU inside srcu may be waiting for it, and we are
    about to wait for that vCPU.

    Locks: slots_lock; slots_arch_lock, which it releases.
    Kernel: kvm_swap_active_memslots(), virt/kvm/kvm_main.c (v6.12)
    """
    slots = get_inactive_memslots(kvm, as_id)
    generation = memslots(kvm, as_id).generation.read_once()
    ensure(
        not generation & MEMSLOT_GEN_UPDATE_IN_PROGRESS,
        f"address space {as_id} is swapped while its generation {generation:#x} says that an"
        " update is in progress",
    )
    generation |= MEMSLOT_GEN_UPDATE_IN_PROGRESS
    kvm.trace.emit(SwapActiveMemslots, as_id, slots.node_idx, generation)
    slots.generation.write_once(generation)

    await _publish(kvm, slots)
    kvm.slots_arch_lock.unlock()
    kvm.trace.emit(SynchronizeSrcu, "kvm_swap_active_memslots")
    await kvm.srcu.synchronize()

    # each address space counts in steps of their number: no two ever have the same generation
    generation = (generation & ~MEMSLOT_GEN_UPDATE_IN_PROGRESS) + len(kvm.memslots)
    await kvm.arch.memslots_updated(kvm, generation)
    await kvm.sched.checkpoint(slots.generation)
    slots.generation.write_once(generation)
    kvm.trace.emit(GenerationChanged, as_id, slots.node_idx, generation)


async def _publish(kvm: "Kvm", slots: "Memslots") -> None:
    """Let readers find *slots*, at a moment when no MMU notifier call is under way.

    The end of such a call must meet the same slots as its start, or the count of
    invalidations in progress would never come back to zero.
    """
    lock = kvm.mn_invalidate_lock
    await lock.lock()
    while kvm.mn_active_invalidate_count:
        lock.unlock()
        await Suspend((InvalidationsOver(kvm),))
        await lock.lock()
    pointer = kvm.memslots[slots.as_id]
    await kvm.sched.checkpoint(pointer)
    pointer.rcu_assign_pointer(slots)
    lock.unlock()


async def activate_memslot(kvm: "Kvm", old: "MemorySlot | None", new: "MemorySlot | None") -> None:
    """Switch to the set where *new* took the place of *old*, then do the same in the other.

    Locks: slots_lock; slots_arch_lock, which is released.
    Kernel: kvm_activate_memslot(), virt/kvm/kvm_main.c (v6.12)
    """
    await swap_active_memslots(kvm, memslots_get_as_id(old, new))
    # an array is not changed a second time: the next change copies the active one anyhow
    if kvm.choices.memslots == "tree":
        replace_memslot(kvm, old, new)
