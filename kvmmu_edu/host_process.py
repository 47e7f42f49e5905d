"""The host process that owns the VM, as its user sees it: plain calls that return.

Ours: in the kernel these are system calls of the process, mmap(), madvise() and the like.
"""

from typing import TYPE_CHECKING

from kvmmu_edu.errors import expect_stored, expect_unsigned
from kvmmu_edu.units import PAGE_SIZE, Hva

if TYPE_CHECKING:
    from kvmmu_edu.vm import Vm


class HostProcess:
    """What the process does to its own memory; KVM hears of it through its MMU notifier."""

    def __init__(self, vm: "Vm") -> None:
        """Speak for the process that owns *vm*."""
        self._vm = vm

    @property
    def cap_sys_boot(self) -> bool:
        """Whether the process may reboot the machine, as the superuser may.

        Ours: the capability CAP_SYS_BOOT.
        """
        return self._vm.kvm.capable_sys_boot

    @cap_sys_boot.setter
    def cap_sys_boot(self, may: bool) -> None:
        """Give the process that right, or take it away."""
        self._vm.kvm.capable_sys_boot = may

    def mmap(
        self, name: str, kind: str, nbytes: int, align: int | None = None, skew: int = 0
    ) -> Hva:
        """Map memory and return its address; nothing is populated.

        :param kind: ``anon4k``, ``thp``, ``huge2m``, ``huge1g`` or ``shm``
        :param nbytes: size in bytes
        :param align: alignment in bytes, by default 2 MiB or the size of the huge page
        :param skew: bytes to add to the aligned address
        :raises KvmError: ENOMEM, not enough huge pages, or no room for so much; EINVAL
        :raises UsageError: no such kind, or the name is taken
        """
        expect_unsigned("nbytes", nbytes, 64)
        mm = self._vm.kvm.mm
        return self._vm.run(mm.mmap(name, kind, nbytes, align, skew), f"mmap {name}")

    def mapping(self, name: str) -> tuple[Hva, int]:
        """Return address and size in bytes of a mapping."""
        return self._vm.kvm.mm.mapping(name)

    def write(self, hva: Hva, value: int, nbytes: int = 8) -> None:
        """Store *value* at *hva*.

        :raises HostFault: nothing is mapped there, or it may not be written
        :raises UsageError: the value does not fit into *nbytes* bytes
        """
        expect_stored(value, nbytes)
        self._vm.run(self._vm.kvm.mm.write(hva, value, nbytes), f"host write {hva:#x}")

    def read(self, hva: Hva, nbytes: int = 8) -> int:
        """Load *nbytes* bytes, the lowest first, from *hva*.

        :raises HostFault: nothing is mapped there, or it may not be read
        """
        expect_unsigned("nbytes", nbytes, 32)
        return self._vm.run(self._vm.kvm.mm.read(hva, nbytes), f"host read {hva:#x}")

    def populate(self, hva: Hva, nbytes: int) -> None:
        """Have the host map [*hva*, *hva* + *nbytes*) writable."""
        self._vm.run(self._vm.kvm.mm.populate(hva, nbytes), f"populate {hva:#x}")

    def madvise(self, hva: Hva, nbytes: int, advice: str) -> None:
        """Give advice on a range: ``dontneed``, ``free``, ``hugepage``, ``collapse``, ..."""
        mm = self._vm.kvm.mm
        self._vm.run(mm.madvise(hva, nbytes, advice), f"madvise {hva:#x} {advice}")

    def mprotect(self, hva: Hva, nbytes: int, prot: str) -> None:
        """Change the protection of a range to ``r``, ``rw`` or ``none``."""
        mm = self._vm.kvm.mm
        self._vm.run(mm.mprotect(hva, nbytes, prot), f"mprotect {hva:#x} {prot}")

    def munmap(self, hva: Hva, nbytes: int) -> None:
        """Unmap a range."""
        self._vm.run(self._vm.kvm.mm.munmap(hva, nbytes), f"munmap {hva:#x}")

    def fork(self) -> None:
        """Fork a child that exits at once; memory was shared copy-on-write meanwhile."""
        self._vm.run(self._vm.kvm.mm.fork(), "fork")

    def touch(self, hva: Hva, npages: int, stride: int = PAGE_SIZE) -> None:
        """Store a byte pattern at *npages* addresses, *stride* bytes apart."""
        mm = self._vm.kvm.mm

        async def touch_all() -> None:
            for i in range(npages):
                await mm.write(hva + i * stride, 0xA5, 8)

        self._vm.run(touch_all(), f"host write {hva:#x} {npages}")
