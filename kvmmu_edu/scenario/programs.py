"""What the guest runs: the few loops of the payload's code page, as instructions.

Each loop touches COUNT addresses and ends with port I/O.  Where its code begins in page 0:

=======  ========  ========
loop     long64    flat32
=======  ========  ========
read     0x000     0x000
write    0x040     0x020
exec     0x080     0x060
invlpg   0x0c0     0x0a0
cr3      0x100     0x0e0
rmw      0x140     0x120
=======  ========  ========

Ours: the payload is a program of the recordings.
Simplified: no access touches two pages; the programs of the recordings have none.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from kvmmu_edu.errors import UsageError
from kvmmu_edu.scenario.grammar import Operation
from kvmmu_edu.scenario.operations import GuestAccesses, GuestStore, Invlpg, ReloadCr3
from kvmmu_edu.units import PAGE_SIZE, Gpa
from kvmmu_edu.x86.guest import Access, Instruction

Mode: TypeAlias = Literal["long64", "flat32"]

ENTRY: Final[dict[str, dict[str, int]]] = {
    "long64": {
        "read": 0x0, "write": 0x40, "exec": 0x80, "invlpg": 0xC0, "cr3": 0x100, "rmw": 0x140,
    },
    "flat32": {
        "read": 0x0, "write": 0x20, "exec": 0x60, "invlpg": 0xA0, "cr3": 0xE0, "rmw": 0x120,
    },
}  # fmt: skip

#: what a store of the guest stores
STORED: Final = 0x5A5A5A5A
#: what the driver stores where the guest shall execute: jmp *rbx, as a little-endian number
JUMP_BACK: Final = 0xE3FF
JUMP_BACK_BYTES: Final = 2
#: the stack pointer, bytes from the payload's beginning
_STACK: Final = 0x3FFF0
#: virtual addresses wrap at this width
_WIDTH: Final = {"long64": 64, "flat32": 32}


@dataclass(frozen=True, slots=True)
class Program:
    """What a program depends on: the guest's mode, and where the payload is (bytes)."""

    mode: Mode
    payload_gpa: Gpa

    @property
    def word(self) -> int:
        """How many bytes an access has."""
        return 4 if self.mode == "flat32" else 8

    def entry(self, loop: str) -> int:
        """Return where the code of a loop begins."""
        return self.payload_gpa + ENTRY[self.mode][loop]


def targets(operation: GuestAccesses, mode: Mode = "long64") -> Iterator[int]:
    """Yield the addresses that an operation touches, in order."""
    mask = (1 << _WIDTH[mode]) - 1
    for n in range(operation.count):
        yield (operation.gpa + n * operation.stride) & mask


def instructions(
    operation: Operation, program: Program, may_cut_short: Callable[[], bool] = lambda: False
) -> Iterator[Instruction]:
    """Yield the instructions that carry out guest work, one loop iteration after the other.

    :param may_cut_short: asked when an access is only repeated (stride 0): whether the rest of
        the repetitions may be one instruction
    :raises UsageError: when an access would touch two pages
    """
    match operation:
        case GuestAccesses(kind="exec"):
            yield from _exec(operation, program)
        case GuestAccesses(stride=0, count=count) if count > 1:
            yield from _repeat(operation, program, may_cut_short)
        case GuestAccesses(kind=kind):
            for address in targets(operation, program.mode):
                yield _touch(kind, address, STORED, program)
        case GuestStore(gpa=gpa, value=value):
            yield _touch("write", gpa, value, program)
        case Invlpg(gva=gva):
            yield Instruction(program.entry("invlpg"), (), gva)
        case ReloadCr3():
            yield Instruction(program.entry("cr3"), (), 0)
        case _:
            raise AssertionError(operation)


def _repeat(
    operation: GuestAccesses, program: Program, may_cut_short: Callable[[], bool]
) -> Iterator[Instruction]:
    for left in range(operation.count, 0, -1):
        again = _touch(operation.kind, operation.gpa, STORED, program)
        if left < operation.count and may_cut_short():
            if operation.kind == "rmw":
                access = again.accesses[0]._replace(value=left)
                again = again._replace(accesses=(access,))
            yield again
            return
        yield again


def _touch(kind: str, address: int, value: int, program: Program) -> Instruction:
    if address % PAGE_SIZE + program.word > PAGE_SIZE:
        raise UsageError(
            f"{kind} of {program.word} bytes at {address:#x} touches two pages; expected one page"
        )
    mask = (1 << 8 * program.word) - 1
    stored = value & mask if kind == "write" else 0
    access = Access(kind, address, program.word, stored)  # type: ignore[arg-type]
    return Instruction(program.entry(kind), (access,), address)


def _exec(operation: GuestAccesses, program: Program) -> Iterator[Instruction]:
    """Jump to each target; there, ``jmp *rbx`` leads back.

    A 32-bit guest finds out by a call where it is, which pushes 4 bytes.
    """
    entry = program.entry("exec")
    push: tuple[Access, ...] = ()
    if program.mode == "flat32":
        push = (Access("write", program.payload_gpa + _STACK - 4, 4, entry),)
    for address in targets(operation, program.mode):
        yield Instruction(entry, push, address)
        yield Instruction(address, (), address)
        push = ()
