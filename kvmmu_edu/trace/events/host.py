"""Host memory: what the process maps, and what KVM hears of it.

Ours, where a class names no tracepoint.
"""

from typing import NamedTuple


class HostMapped(NamedTuple):
    """The host maps *npages* pages of 4 KiB, one after the other, for the user process.

    hva in bytes; level of the host mapping.
    """

    hva: int
    pfn: int
    level: int
    npages: int
    why: str


class HostProtected(NamedTuple):
    """The host changes what the process may do with a range; half-open, bytes.

    *access* is ``rw``, ``r`` or ``none``.
    """

    start_hva: int
    end_hva: int
    access: str
    why: str


class HostUnmapped(NamedTuple):
    """The host takes pages away from the user process; half-open range, bytes."""

    start_hva: int
    end_hva: int
    why: str


class NotifierInvalidateStart(NamedTuple):
    """An MMU notifier tells KVM that a range of hva is about to change; bytes."""

    start_hva: int
    end_hva: int


class NotifierInvalidateEnd(NamedTuple):
    """The change of that range is over."""

    start_hva: int
    end_hva: int


class NotifierAge(NamedTuple):
    """The host asks whether a range was used lately, and clears the mark."""

    start_hva: int
    end_hva: int
