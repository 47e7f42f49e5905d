"""Header lines: what the VM and its guest are like; they stand before the operations.

Ours.
"""

from dataclasses import dataclass
from typing import ClassVar

from kvmmu_edu.errors import UsageError
from kvmmu_edu.scenario.arguments import argument, number_or_off, one_of
from kvmmu_edu.scenario.grammar import Operation, verb
from kvmmu_edu.units import PAGE_SIZE


@verb("vcpus")
@dataclass(frozen=True, slots=True)
class Vcpus(Operation):
    """How many vCPUs there are."""

    is_header: ClassVar[bool] = True
    count: int = argument("N")

    def __post_init__(self) -> None:
        """Refuse a VM without vCPUs, and more than any kernel allows."""
        if not 1 <= self.count <= 4096:
            raise UsageError(f"{self.count} vCPUs; expected 1 to 4096")


@verb("mode")
@dataclass(frozen=True, slots=True)
class Mode(Operation):
    """How the guest pages: 64-bit with one of three sets of tables, or not at all."""

    is_header: ClassVar[bool] = True
    paging: str = argument("long64|flat32", one_of("long64", "flat32"))
    tables: str = argument("1g|2m|own", one_of("1g", "2m", "own"), default="1g")


@verb("payload")
@dataclass(frozen=True, slots=True)
class PayloadAt(Operation):
    """Where the guest's code and page tables are; slot -1 (``off``) for no such slot."""

    is_header: ClassVar[bool] = True
    slot: int = argument("off|ID", number_or_off)
    gpa: int = argument("GPA", default=-1)
    size: int = argument("SIZE", default=64 * PAGE_SIZE)

    def __post_init__(self) -> None:
        """Refuse a slot without an address."""
        if self.slot >= 0 and self.gpa < 0:
            raise UsageError("the payload slot has no address; expected payload ID GPA [SIZE]")


@verb("dirtyring")
@dataclass(frozen=True, slots=True)
class DirtyRing(Operation):
    """Log dirty pages in rings of so many bytes for each vCPU, not in bitmaps."""

    is_header: ClassVar[bool] = True
    nbytes: int = argument("BYTES")
