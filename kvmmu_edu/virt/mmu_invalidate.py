"""The page fault against the notifier: how a fault learns that its answer is stale.

A page fault asks the host which frame is behind an address, and only later takes mmu_lock and
maps it.  In between the host may have taken the frame away::

    fault                                  host
    seq = mmu_invalidate_seq
    pfn = what the host says
                                           invalidate_range_start: in_progress 1, unmap
                                           ... changes its page tables ...
                                           invalidate_range_end: seq + 1, in_progress 0
    lock mmu_lock
    retry?  in_progress and in the range, or another seq

While a change is under way, ``in_progress`` and the range say so; once it is over, the other
sequence number does.  The range is the smallest one that holds all changes under way: when
several overlap in time it only grows, until the last of them has ended.

Kernel: kvm_mmu_invalidate_begin(), virt/kvm/kvm_main.c (v6.12)
Simplified: in 6.1 the range is one of host addresses, and the fault asks
mmu_invalidate_retry_hva().  Within one slot that is the same question; only when changes of
several slots overlap in time do the two retry for different pages that did not change.
"""

from typing import TYPE_CHECKING, Final

from kvmmu_edu.errors import KernelBug
from kvmmu_edu.units import Gfn

if TYPE_CHECKING:
    from kvmmu_edu.virt.kvm import Kvm

#: no range yet
INVALID_GPA: Final = -1


def mmu_invalidate_begin(kvm: "Kvm") -> None:
    """Note that mappings are about to become stale; :func:`mmu_invalidate_range_add` follows.

    Locks: mmu_lock for writing.
    Kernel: kvm_mmu_invalidate_begin(), virt/kvm/kvm_main.c (v6.12)
    """
    kvm.mmu_lock.assert_held("write")
    in_progress = kvm.mmu_invalidate_in_progress.read_once() + 1
    kvm.mmu_invalidate_in_progress.write_once(in_progress)
    if in_progress == 1:
        kvm.mmu_invalidate_range_start = INVALID_GPA
        kvm.mmu_invalidate_range_end = INVALID_GPA


def mmu_invalidate_range_add(kvm: "Kvm", start: Gfn, end: Gfn) -> None:
    """Add the frames ``[start, end)`` to what is about to become stale.

    Locks: mmu_lock for writing.
    Kernel: kvm_mmu_invalidate_range_add(), virt/kvm/kvm_main.c (v6.12)
    """
    kvm.mmu_lock.assert_held("write")
    if kvm.mmu_invalidate_in_progress.read_once() == 0:
        raise KernelBug(f"range [{start:#x}, {end:#x}) is added, but no invalidation has begun")
    if kvm.mmu_invalidate_range_start == INVALID_GPA:
        kvm.mmu_invalidate_range_start = start
        kvm.mmu_invalidate_range_end = end
    else:
        kvm.mmu_invalidate_range_start = min(kvm.mmu_invalidate_range_start, start)
        kvm.mmu_invalidate_range_end = max(kvm.mmu_invalidate_range_end, end)


def mmu_invalidate_end(kvm: "Kvm") -> None:
    """Note that the change is over, and let every fault that began before it try again.

    The sequence number grows before the count falls; who reads them in the other order sees
    at least one of the two.

    Locks: mmu_lock for writing.
    Kernel: kvm_mmu_invalidate_end(), virt/kvm/kvm_main.c (v6.12)
    """
    kvm.mmu_lock.assert_held("write")
    in_progress = kvm.mmu_invalidate_in_progress.read_once()
    if in_progress == 0:
        raise KernelBug("an invalidation ends that has not begun")
    if kvm.mmu_invalidate_range_start == INVALID_GPA:
        raise KernelBug("an invalidation ends to which no range was added")
    kvm.mmu_invalidate_seq.write_once(kvm.mmu_invalidate_seq.read_once() + 1)
    kvm.mmu_invalidate_in_progress.store_release(in_progress - 1)


def _in_range(kvm: "Kvm", gfn: Gfn) -> bool:
    return kvm.mmu_invalidate_range_start <= gfn < kvm.mmu_invalidate_range_end


def mmu_invalidate_retry(kvm: "Kvm", mmu_seq: int) -> bool:
    """Return whether anything became stale since *mmu_seq*, wherever it is.

    Locks: mmu_lock.
    Kernel: mmu_invalidate_retry(), include/linux/kvm_host.h (v6.12)
    """
    if kvm.mmu_invalidate_in_progress.load_acquire():
        return True
    return kvm.mmu_invalidate_seq.read_once() != mmu_seq


def mmu_invalidate_retry_gfn(kvm: "Kvm", mmu_seq: int, gfn: Gfn) -> bool:
    """Return whether what is known of *gfn* since *mmu_seq* may be stale.

    Locks: mmu_lock.
    Kernel: mmu_invalidate_retry_gfn(), include/linux/kvm_host.h (v6.12)
    """
    kvm.mmu_lock.assert_held()
    if kvm.mmu_invalidate_in_progress.read_once() and (
        # no range yet: mmu_lock was dropped too early, and any page may be meant
        kvm.mmu_invalidate_range_start == INVALID_GPA or _in_range(kvm, gfn)
    ):
        return True
    return kvm.mmu_invalidate_seq.read_once() != mmu_seq


def mmu_invalidate_retry_gfn_unsafe(kvm: "Kvm", mmu_seq: int, gfn: Gfn) -> bool:
    """Ask the same without the lock: an answer that may be wrong, but saves work.

    A fault that is going to be retried anyhow need not contend for mmu_lock.

    Kernel: mmu_invalidate_retry_gfn_unsafe(), include/linux/kvm_host.h (v6.12)
    In v6.1: not there; a fault always took the lock first.
    """
    if kvm.mmu_invalidate_in_progress.read_once() and _in_range(kvm, gfn):
        return True
    return kvm.mmu_invalidate_seq.read_once() != mmu_seq
