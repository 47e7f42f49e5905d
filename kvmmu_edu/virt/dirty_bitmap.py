"""The dirty bitmap of a slot: one bit for each page, and as many again as scratch space.

Kernel: kvm_alloc_dirty_bitmap(), virt/kvm/kvm_main.c (v6.12)
"""

from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from kvmmu_edu.errors import ensure
from kvmmu_edu.trace.events import DirtyBitmapAllocated

if TYPE_CHECKING:
    from kvmmu_edu.virt.kvm import Kvm
    from kvmmu_edu.virt.memory_slot import MemorySlot

BITS_PER_LONG: Final = 64

#: bits of 64 pages each, the first page in bit 0 of the first word
Words: TypeAlias = NDArray[np.uint64]


# values of manual_dirty_log_protect, from KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2
DIRTY_LOG_MANUAL_PROTECT_ENABLE: Final = 1 << 0
DIRTY_LOG_INITIALLY_SET: Final = 1 << 1


def use_dirty_bitmap(kvm: "Kvm") -> bool:
    """Return whether slots get dirty bitmaps; otherwise each vCPU fills a ring.

    Kernel: kvm_use_dirty_bitmap(), virt/kvm/dirty_ring.c (v6.12)
    Simplified: x86 has no ring together with a bitmap.
    """
    return not kvm.dirty_ring_size


def dirty_log_manual_protect_and_init_set(kvm: "Kvm") -> bool:
    """Return whether new bitmaps start with every page dirty.

    Kernel: kvm_dirty_log_manual_protect_and_init_set(), include/linux/kvm_host.h (v6.12)
    """
    return bool(kvm.manual_dirty_log_protect & DIRTY_LOG_INITIALLY_SET)


def words_for(npages: int) -> int:
    """Return how many words hold one bit for each of *npages* pages.

    Ours.
    """
    return (npages + BITS_PER_LONG - 1) // BITS_PER_LONG


def dirty_bitmap_bytes(slot: "MemorySlot") -> int:
    """Return the size in bytes of one bitmap of *slot*.

    Kernel: kvm_dirty_bitmap_bytes(), include/linux/kvm_host.h (v6.12)
    """
    return words_for(slot.npages) * 8


def alloc_dirty_bitmap(kvm: "Kvm", slot: "MemorySlot") -> None:
    """Give *slot* a bitmap of zeros, twice as long as its pages need.

    Kernel: kvm_alloc_dirty_bitmap(), virt/kvm/kvm_main.c (v6.12)
    Simplified: cannot fail.
    """
    slot.dirty_bitmap = np.zeros(2 * words_for(slot.npages), dtype=np.uint64)
    kvm.trace.emit(DirtyBitmapAllocated, slot.serial, 2 * dirty_bitmap_bytes(slot))


def bitmap_words(slot: "MemorySlot") -> Words:
    """Return a view of the words in which *slot* remembers dirty pages.

    Ours.
    """
    assert slot.dirty_bitmap is not None
    return slot.dirty_bitmap[: words_for(slot.npages)]


def second_dirty_bitmap(slot: "MemorySlot") -> Words:
    """Return a view of the scratch half.

    Kernel: kvm_second_dirty_bitmap(), include/linux/kvm_host.h (v6.12)
    """
    assert slot.dirty_bitmap is not None
    return slot.dirty_bitmap[words_for(slot.npages) :]


def set_all(slot: "MemorySlot") -> None:
    """Mark every page of *slot* dirty, and no bit behind the last page.

    Kernel: bitmap_set(), include/linux/bitmap.h (v6.12)
    """
    words = bitmap_words(slot)
    words[:] = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
    words[-1:] &= np.uint64(last_word_mask(slot.npages))


def last_word_mask(npages: int) -> int:
    """Return the bits of the last of the words for *npages* pages that stand for a page.

    Kernel: BITMAP_LAST_WORD_MASK, include/linux/bitmap.h (v6.12)
    """
    return (1 << ((npages - 1) % BITS_PER_LONG + 1)) - 1


def dirty_pages(words: Words) -> NDArray[np.int64]:
    """Return the numbers of the set bits, rising, as an int64 array.

    >>> dirty_pages(np.array([0b101, 1 << 63], dtype=np.uint64)).tolist()
    [0, 2, 127]

    Ours.
    """
    little = np.ascontiguousarray(words, dtype="<u8")
    return np.flatnonzero(np.unpackbits(little.view(np.uint8), bitorder="little"))


def check(slot: "MemorySlot") -> None:
    """Raise unless the bitmap of *slot* has the right size and no bit behind the last page.

    Ours.
    """
    if slot.dirty_bitmap is None:
        return
    size, wanted = len(slot.dirty_bitmap), 2 * words_for(slot.npages)
    ensure(
        size == wanted,
        f"{slot}: the dirty bitmap has {size} words, {slot.npages} pages need {wanted}",
    )
    beyond = int(bitmap_words(slot)[-1]) & ~last_word_mask(slot.npages)
    ensure(not beyond, f"{slot}: dirty bits {beyond:#x} of the last word are behind the slot")
