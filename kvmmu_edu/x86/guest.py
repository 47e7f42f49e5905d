"""What a guest does: accesses, instructions, exits.

A guest program is a list of instructions; each names the addresses that it touches.  That is
all an MMU ever sees of a program.

Ours: real guests run code.
"""

from typing import Final, Literal, NamedTuple, TypeAlias

from kvmmu_edu.units import Gpa

# a constructor of a NamedTuple takes twice as long, and every access makes two
_tuple: Final = tuple.__new__

AccessKind: TypeAlias = Literal["read", "write", "rmw"]
Paging: TypeAlias = Literal["none", "long64", "flat32"]


class Access(NamedTuple):
    """One access to data.

    :ivar kind: ``read``, ``write``, or ``rmw``: a locked increment, which loads first
    :ivar gva: the guest virtual address, bytes
    :ivar size: bytes
    :ivar value: what a write stores; how many increments an ``rmw`` stands for, 0 for one
    """

    kind: AccessKind
    gva: int
    size: int = 8
    value: int = 0


class Instruction(NamedTuple):
    """One instruction.

    :ivar rip: where its code lies (guest virtual address); None if fetching does not matter
    :ivar accesses: the data that it touches, in order
    :ivar rdi: a register that exits report
    """

    rip: int | None
    accesses: tuple[Access, ...] = ()
    rdi: int = 0


class Guest(NamedTuple):
    """How the guest's own addresses become guest physical ones.

    :ivar paging: ``none``: addresses are physical; ``flat32``: the same, for a guest with
        paging off; ``long64``: four levels of tables in guest memory
    :ivar cr3: where these begin, bytes
    """

    paging: Paging = "none"
    cr3: Gpa = 0


class Exit(NamedTuple):
    """Why KVM_RUN came back to user space.

    :ivar reason: ``MMIO``, ``INTERNAL_ERROR`` or ``DIRTY_RING_FULL``
    :ivar gpa: of an MMIO access, bytes
    :ivar length: of an MMIO access, bytes
    """

    reason: str
    gpa: Gpa = 0
    length: int = 0
    is_write: bool = False
    code: int = 0
    suberror: int = 0
    rip: int = 0
    rdi: int = 0


def touch(kind: AccessKind, gpa: Gpa, value: int = 0, size: int = 8) -> Instruction:
    """Return an instruction that only touches one address and is not fetched.

    >>> touch("read", 0x1000).accesses[0].gva
    4096
    """
    access = _tuple(Access, (kind, gpa, size, value))
    return _tuple(Instruction, (None, (access,), 0))
