"""Faults, vCPUs, requests and flushes.

Ours, where a class names no tracepoint.
"""

from typing import NamedTuple


class GuestAccess(NamedTuple):
    """The guest touches memory: kind ``read``, ``write``, ``exec``; gpa in bytes."""

    vcpu: int
    kind: str
    gpa: int


class PageFaultTaken(NamedTuple):
    """The CPU left the guest because an SPTE did not allow an access."""

    vcpu: int
    rip: int
    address: int
    error_code: int


class PageFaultDone(NamedTuple):
    """The fault was handled; *result* is a value of RetPf, or a negative errno."""

    vcpu: int
    gfn: int
    result: int


class FastPageFault(NamedTuple):
    """A fault was handled without a lock."""

    vcpu: int
    address: int
    error_code: int
    table: int
    index: int  # type: ignore[assignment] # tuple.index is not used
    old: int
    new: int
    spurious: bool
    fixed: bool


class MmioExit(NamedTuple):
    """The access goes to user space: there is no memory, or it may not be written."""

    vcpu: int
    gpa: int
    length: int
    is_write: bool


class FlushRemoteTlbs(NamedTuple):
    """A TLB flush of all vCPUs is requested; *npages* 0 means everything."""

    caller: str
    gfn: int
    npages: int
    kicked: int


class VcpuRequest(NamedTuple):
    """A vCPU is asked to do something before it enters the guest again."""

    vcpu: int
    request: str


class VcpuTlbFlush(NamedTuple):
    """A vCPU emptied its TLB; *counted* as KVM's statistic tlb_flush does."""

    vcpu: int
    why: str
    counted: bool


class GuestEntered(NamedTuple):
    """A vCPU runs guest code."""

    vcpu: int


class GuestLeft(NamedTuple):
    """A vCPU runs host code again."""

    vcpu: int
