"""The operations of the scenario language, one class for each.

A class says what it is called and what its arguments are; the parser, the usage lines in
messages and the modules that carry operations out all derive from that.

Ours.
"""

# ruff: noqa: RUF009 - argument() makes a field, as field() does
from dataclasses import dataclass
from typing import ClassVar

from kvmmu_edu.errors import UsageError
from kvmmu_edu.scenario.arguments import (
    HostAddress,
    advice,
    argument,
    host_address,
    identifier,
    one_of,
    slot_flags,
    vcpu_name,
    word,
)
from kvmmu_edu.scenario.grammar import Operation, verb
from kvmmu_edu.units import PAGE_SIZE

# --- memory slots -----------------------------------------------------------------------------


@verb("slot")
@dataclass(frozen=True, slots=True)
class Slot(Operation):
    """Create or change a memory slot: KVM_SET_USER_MEMORY_REGION; gpa, size in bytes."""

    slot: int = argument("ID")
    gpa: int = argument("GPA")
    size: int = argument("SIZE")
    flags: int = argument("FLAGS", slot_flags)
    hva: HostAddress = argument("HVA", host_address)


@verb("delete")
@dataclass(frozen=True, slots=True)
class Delete(Operation):
    """Delete a memory slot: the same ioctl with size 0."""

    slot: int = argument("ID")


@verb("move")
@dataclass(frozen=True, slots=True)
class Move(Operation):
    """Move a memory slot: the same ioctl with another gpa."""

    slot: int = argument("ID")
    gpa: int = argument("GPA")


@verb("flags")
@dataclass(frozen=True, slots=True)
class Flags(Operation):
    """Change the flags of a memory slot: the same ioctl with other flags."""

    slot: int = argument("ID")
    flags: int = argument("FLAGS", slot_flags)


# --- guest work -------------------------------------------------------------------------------


@verb("read", kind="read")
@verb("write", kind="write")
@verb("rmw", kind="rmw")
@verb("exec", kind="exec")
@verb("l2read", kind="l2read")
@verb("l2write", kind="l2write")
@dataclass(frozen=True, slots=True)
class GuestAccesses(Operation):
    """The guest touches *count* addresses, *stride* bytes apart; gpa in bytes."""

    is_guest_work: ClassVar[bool] = True
    kind: str
    gpa: int = argument("GPA")
    count: int = argument("COUNT", default=1)
    stride: int = argument("STRIDE", default=PAGE_SIZE)


@verb("writev")
@dataclass(frozen=True, slots=True)
class GuestStore(Operation):
    """The guest stores a value of its own at an address."""

    is_guest_work: ClassVar[bool] = True
    gpa: int = argument("GPA")
    value: int = argument("VALUE")


@verb("invlpg")
@dataclass(frozen=True, slots=True)
class Invlpg(Operation):
    """The guest drops one address from its TLB."""

    is_guest_work: ClassVar[bool] = True
    gva: int = argument("GVA")


@verb("cr3")
@dataclass(frozen=True, slots=True)
class ReloadCr3(Operation):
    """The guest loads CR3 with the value it has."""

    is_guest_work: ClassVar[bool] = True


@verb("gmap")
@dataclass(frozen=True, slots=True)
class MapInGuest(Operation):
    """The host writes entries into the guest's page tables."""

    gva: int = argument("GVA")
    gpa: int = argument("GPA")
    size: int = argument("SIZE")
    page: str = argument("4k|2m|1g", one_of("4k", "2m", "1g"))
    pte_flags: int = argument("PTEFLAGS", default=0x63)


@verb("gpte")
@dataclass(frozen=True, slots=True)
class GuestPte(Operation):
    """Print where the entry of a level for a guest address is."""

    gva: int = argument("GVA")
    level: int = argument("LEVEL")


@dataclass(frozen=True, slots=True)
class OnVcpu:
    """Guest work and the vCPU that does it."""

    vcpu: int
    operation: Operation


@dataclass(frozen=True, slots=True)
class Par(Operation):
    """Several vCPUs work at once."""

    parts: tuple[OnVcpu, ...]


@dataclass(frozen=True, slots=True)
class Background(Operation):
    """A vCPU starts to work and is not waited for."""

    part: OnVcpu


@verb("join")
@dataclass(frozen=True, slots=True)
class Join(Operation):
    """Wait until the work of a vCPU in the background has ended."""

    vcpu: int = argument("vN", vcpu_name)


# --- dirty pages ------------------------------------------------------------------------------


def _check_pages(npages: int) -> None:
    if npages >= 1 << 31:
        raise UsageError(f"{npages} pages; expected fewer than 2^31, as a memory slot has")


@verb("dirty-get")
@dataclass(frozen=True, slots=True)
class DirtyGet(Operation):
    """Fetch the dirty bitmap of a slot: KVM_GET_DIRTY_LOG; pages 0: as many as it has."""

    slot: int = argument("ID")
    npages: int = argument("PAGES", default=0)

    def __post_init__(self) -> None:
        """Refuse more pages than any slot has."""
        _check_pages(self.npages)


@verb("dirty-clear")
@dataclass(frozen=True, slots=True)
class DirtyClear(Operation):
    """Clear bits of the dirty bitmap: KVM_CLEAR_DIRTY_LOG; all, or those last fetched."""

    slot: int = argument("ID")
    first_page: int = argument("FIRST")
    npages: int = argument("N")
    which: str = argument("all|last", one_of("all", "last"), default="all")

    def __post_init__(self) -> None:
        """Refuse more pages than any slot has."""
        _check_pages(self.npages)


@verb("ring")
@dataclass(frozen=True, slots=True)
class Ring(Operation):
    """Collect what is in the dirty ring of a vCPU."""

    vcpu: int = argument("V")


@verb("ringreset")
@dataclass(frozen=True, slots=True)
class RingReset(Operation):
    """Give the collected entries of all rings back: KVM_RESET_DIRTY_RINGS."""


@verb("prefault")
@dataclass(frozen=True, slots=True)
class Prefault(Operation):
    """Map a range before the guest touches it: KVM_PRE_FAULT_MEMORY."""

    gpa: int = argument("GPA")
    size: int = argument("SIZE")


# --- host memory ------------------------------------------------------------------------------


@verb("mem")
@dataclass(frozen=True, slots=True)
class Mem(Operation):
    """Map host memory; size, alignment and skew in bytes (align 0: as the kind needs)."""

    name: str = argument("NAME", identifier)
    kind: str = argument(
        "anon4k|thp|huge2m|huge1g|shm", one_of("anon4k", "thp", "huge2m", "huge1g", "shm")
    )
    size: int = argument("SIZE")
    align: int = argument("ALIGN", default=0)
    skew: int = argument("SKEW", default=0)


@verb("hostread", kind="read")
@verb("hostwrite", kind="write")
@dataclass(frozen=True, slots=True)
class HostAccesses(Operation):
    """The host process touches *count* addresses, *stride* bytes apart."""

    kind: str
    hva: HostAddress = argument("MEM+OFF", host_address)
    count: int = argument("N", default=1)
    stride: int = argument("STRIDE", default=PAGE_SIZE)


@verb("hostpeek")
@dataclass(frozen=True, slots=True)
class HostPeek(Operation):
    """The host process loads 8 bytes and shows them."""

    hva: HostAddress = argument("MEM+OFF", host_address)


@verb("madvise")
@dataclass(frozen=True, slots=True)
class Madvise(Operation):
    """The host process advises about a range."""

    hva: HostAddress = argument("MEM+OFF", host_address)
    size: int = argument("LEN")
    advice: str = argument("ADVICE", advice)


@verb("mprotect")
@dataclass(frozen=True, slots=True)
class Mprotect(Operation):
    """The host process changes the protection of a range."""

    hva: HostAddress = argument("MEM+OFF", host_address)
    size: int = argument("LEN")
    protection: str = argument("r|rw|none", one_of("r", "rw", "none"))


@verb("munmap")
@dataclass(frozen=True, slots=True)
class Munmap(Operation):
    """The host process gives a range back."""

    hva: HostAddress = argument("MEM+OFF", host_address)
    size: int = argument("LEN")


@verb("fork")
@dataclass(frozen=True, slots=True)
class Fork(Operation):
    """The host process forks; the child exits at once."""


@verb("smaps")
@dataclass(frozen=True, slots=True)
class Smaps(Operation):
    """What the host's smaps file says of a mapping; it concerns no KVM."""

    name: str = argument("MEM", identifier)


@verb("sh")
@dataclass(frozen=True, slots=True)
class Shell(Operation):
    """A command of the machine that was recorded; it concerns no KVM."""

    command: tuple[str, ...] = argument("COMMAND", word, rest=True)


# --- the VM and the module --------------------------------------------------------------------


@verb("param")
@dataclass(frozen=True, slots=True)
class Param(Operation):
    """Write (if there is a value) and read a module parameter."""

    name: str = argument("MODULE/NAME", word)
    value: str = argument("VALUE", word, default="")


@verb("cap")
@dataclass(frozen=True, slots=True)
class Cap(Operation):
    """Enable a capability of the VM: KVM_ENABLE_CAP."""

    cap: int = argument("N")
    args: tuple[int, ...] = argument("ARGS", default=(), rest=True)


@verb("checkcap")
@dataclass(frozen=True, slots=True)
class CheckCap(Operation):
    """Ask whether there is a capability: KVM_CHECK_EXTENSION."""

    cap: int = argument("N")


@verb("maxmmu")
@dataclass(frozen=True, slots=True)
class MaxMmu(Operation):
    """Limit the number of shadow pages: KVM_SET_NR_MMU_PAGES."""

    npages: int = argument("N")


@verb("rmaps")
@dataclass(frozen=True, slots=True)
class Rmaps(Operation):
    """Show how long the rmap chains are: the debugfs file mmu_rmaps_stat."""


@verb("stats")
@dataclass(frozen=True, slots=True)
class Stats(Operation):
    """Show every statistic."""


@verb("sleep")
@dataclass(frozen=True, slots=True)
class Sleep(Operation):
    """Let time pass, in milliseconds."""

    ms: int = argument("MS")
