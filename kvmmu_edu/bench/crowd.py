"""A VM with many memory slots, some of which come and go.

Ours.
"""

from typing import Final

from kvmmu_edu.units import PAGE_SIZE, Gfn, Hva
from kvmmu_edu.virt.memory_slot import USER_MEM_SLOTS
from kvmmu_edu.virt.memslots import Memslots, memslots
from kvmmu_edu.vm import Vm

#: how many slots there are: what old kernels allowed, and what these do
COUNTS: Final = (509, USER_MEM_SLOTS)
#: how many of them come and go, the last ones
MOVING: Final = 64

_DISABLE_QUIRKS2: Final = 213
_SLOT_ZAP_ALL: Final = 1 << 7


class Crowd:
    """A VM with *count* slots of one page, with holes between; no vCPU.

    :ivar vm: the VM
    :ivar count: how many slots it has when all are there
    """

    def __init__(self, count: int) -> None:
        """Create all slots."""
        self.count = count
        self.vm = Vm()
        self.vm.enable_cap(_DISABLE_QUIRKS2, _SLOT_ZAP_ALL)
        self._hva = self.vm.host.mmap("A", "anon4k", count * PAGE_SIZE)
        for number in range(count):
            self._create(number)

    @property
    def memslots(self) -> Memslots:
        """The active set."""
        return memslots(self.vm.kvm)

    def gfn(self, number: int) -> Gfn:
        """Return the guest frame of the slot of that number."""
        return 2 * number

    def hva(self, number: int) -> Hva:
        """Return the host address behind it."""
        return self._hva + number * PAGE_SIZE

    def create_last(self) -> int:
        """Create the slots that come and go, as far as they are not there; return how many."""
        missing = range(len(self.vm.kvm.slots_by_serial), self.count)
        for number in missing:
            self._create(number)
        return len(missing)

    def delete_last(self) -> int:
        """Delete them, as far as they are there; return how many."""
        there = range(self.count - MOVING, len(self.vm.kvm.slots_by_serial))
        for number in there:
            self.vm.set_user_memory_region(number, 0, 0, 0, 0)
        return len(there)

    def _create(self, number: int) -> None:
        gpa = self.gfn(number) * PAGE_SIZE
        self.vm.set_user_memory_region(number, 0, gpa, PAGE_SIZE, self.hva(number))
