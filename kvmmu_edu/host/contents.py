"""What stands in the frames: the words that somebody stored, zero elsewhere.

A frame that nobody wrote costs nothing, and one that holds a few words costs these words.
So a guest of many gigabytes may be touched everywhere.

Ours: the machine has memory chips for this.
"""

from typing import Final

from kvmmu_edu.errors import InvariantError
from kvmmu_edu.units import PAGE_SIZE, Pfn

_WORD: Final = 8
_WORD_MASK: Final = (1 << 64) - 1


class Contents:
    """The stored words of each frame.

    :ivar words: frame number to {word number in the frame, 0 to 511: value}
    :ivar first_pfn: frames below are the zero pages, which nobody may write
    """

    __slots__ = ("first_pfn", "words")

    def __init__(self, first_pfn: Pfn = 0) -> None:
        """Start with zeros everywhere."""
        self.words: dict[Pfn, dict[int, int]] = {}
        self.first_pfn = first_pfn

    def load(self, pfn: Pfn, offset: int, nbytes: int = _WORD) -> int:
        """Return *nbytes* (1 to 8) at *offset* bytes into a frame, little endian.

        The bytes lie in one frame.
        """
        frame = self.words.get(pfn)
        if frame is None:
            return 0
        skip = offset & 7
        value = frame.get(offset >> 3, 0)
        if nbytes == _WORD and not skip:
            return value
        if skip + nbytes > _WORD:
            value |= frame.get((offset >> 3) + 1, 0) << 64
        return (value >> (8 * skip)) & ((1 << (8 * nbytes)) - 1)

    def store(self, pfn: Pfn, offset: int, value: int, nbytes: int = _WORD) -> None:
        """Store *nbytes* (1 to 8) of *value* at *offset* bytes into a frame, little endian.

        :raises InvariantError: if the frame is a zero page, or the bytes do not lie in one frame
        """
        if pfn < self.first_pfn:
            raise InvariantError(f"a store to zero page frame {pfn:#x}: it is mapped everywhere")
        if offset + nbytes > PAGE_SIZE:
            raise InvariantError(f"a store at {offset:#x} goes beyond its frame")
        frame = self.words.get(pfn)
        if frame is None:
            frame = self.words[pfn] = {}
        skip = offset & 7
        if nbytes == _WORD and not skip:
            frame[offset >> 3] = value & _WORD_MASK
            return
        index = offset >> 3
        mask = ((1 << (8 * nbytes)) - 1) << (8 * skip)
        both = frame.get(index, 0) | frame.get(index + 1, 0) << 64
        both = (both & ~mask) | ((value << (8 * skip)) & mask)
        frame[index] = both & _WORD_MASK
        if skip + nbytes > _WORD:
            frame[index + 1] = both >> 64

    def copy(self, source: Pfn, target: Pfn, npages: int = 1) -> None:
        """Copy *npages* frames; the target ones hold nothing before.

        Kernel: copy_user_highpage(), include/linux/highmem.h (v6.12)
        """
        for i in range(npages):
            frame = self.words.get(source + i)
            if frame is not None:
                self.words[target + i] = frame.copy()

    def forget(self, pfn: Pfn, npages: int = 1) -> None:
        """Drop what *npages* frames from *pfn* on hold: they are free.

        Cost: O(the smaller of npages and the frames that hold anything).
        """
        words = self.words
        if npages <= len(words):
            for number in range(pfn, pfn + npages):
                words.pop(number, None)
            return
        for number in [number for number in words if pfn <= number < pfn + npages]:
            del words[number]
