"""The state of one virtual CPU, as far as the generic half knows it.

Kernel: struct kvm_vcpu, include/linux/kvm_host.h (v6.12)
"""

from typing import TYPE_CHECKING, Any

from kvmmu_edu.errors import InvariantError
from kvmmu_edu.sync.cells import Shared

if TYPE_CHECKING:
    from kvmmu_edu.virt.dirty_ring import DirtyRing
    from kvmmu_edu.virt.kvm import Kvm
    from kvmmu_edu.virt.memory_slot import MemorySlot

# KVM_REQ_*: what a vCPU is asked to do before it enters the guest
REQ_TLB_FLUSH = "TLB_FLUSH"
REQ_MMU_FREE_OBSOLETE_ROOTS = "MMU_FREE_OBSOLETE_ROOTS"
REQ_TLB_FLUSH_GUEST = "TLB_FLUSH_GUEST"
REQ_TLB_FLUSH_CURRENT = "TLB_FLUSH_CURRENT"
REQ_DIRTY_RING_SOFT_FULL = "DIRTY_RING_SOFT_FULL"

OUTSIDE_GUEST_MODE = 0
IN_GUEST_MODE = 1
EXITING_GUEST_MODE = 2
READING_SHADOW_PAGE_TABLES = 3


class KvmVcpu:
    """A virtual CPU.

    :ivar vcpu_id: its number, also its index in ``kvm.vcpus``
    :ivar mode: whether guest code runs on it now
    :ivar requests: what it is asked to do before it enters the guest again

    Kernel: struct kvm_vcpu, include/linux/kvm_host.h (v6.12)
    """

    def __init__(self, kvm: "Kvm", vcpu_id: int) -> None:
        """Make a vCPU that has not run."""
        self.kvm = kvm
        self.vcpu_id = vcpu_id
        # written by its own task, read by those who kick it
        self.mode = Shared("vcpu->mode", OUTSIDE_GUEST_MODE)
        # atomic bits: set by anybody, cleared by its own task
        self.requests: set[str] = set()
        # its own task: the address space it uses, 1 in system management mode, else 0;
        # the kernel asks the x86 half each time (kvm_arch_vcpu_memslots_id)
        self.memslots_id = 0
        # its own task, inside srcu
        self.last_used_slot: MemorySlot | None = None
        self.last_used_slot_gen = -1
        # its own task, and user space through its mapping; see dirty_ring.py
        self.dirty_ring: DirtyRing | None = None
        # what the x86 half keeps
        self.arch: Any = None

    def check(self) -> None:
        """Raise if the slot it remembers is believed although the active set has it not.

        :raises InvariantError: names the slot and the set
        """
        slots = self.kvm.memslots[self.memslots_id].rcu_dereference()
        slot = self.last_used_slot
        if slot is None or self.last_used_slot_gen != slots.generation.read_once():
            return
        if slot not in slots.slots_by_gfn():
            raise InvariantError(
                f"vCPU {self.vcpu_id} remembers {slot} of generation {self.last_used_slot_gen}, but"
                f" {slots} of that generation has it not"
            )

    def snapshot(self) -> dict[str, Any]:
        """Return what the generic half knows of it as plain values."""
        slot = self.last_used_slot
        return {
            "mode": self.mode.read_once(),
            "requests": tuple(sorted(self.requests)),
            "memslots_id": self.memslots_id,
            "last_used_slot": None if slot is None else slot.id,
            "last_used_slot_gen": self.last_used_slot_gen,
            "dirty_ring": None if self.dirty_ring is None else self.dirty_ring.snapshot(),
        }


def vcpu_load(vcpu: KvmVcpu) -> None:
    """Note that the current task runs *vcpu*: at the start of each of its ioctls.

    Kernel: vcpu_load(), virt/kvm/kvm_main.c (v6.12)
    """
    vcpu.kvm.running_vcpus[vcpu.kvm.sched.current] = vcpu


def vcpu_put(vcpu: KvmVcpu) -> None:
    """Note that the current task does not run *vcpu* any more.

    Kernel: vcpu_put(), virt/kvm/kvm_main.c (v6.12)
    """
    del vcpu.kvm.running_vcpus[vcpu.kvm.sched.current]


def get_running_vcpu(kvm: "Kvm") -> KvmVcpu | None:
    """Return the vCPU that the current task runs, or None.

    Kernel: kvm_get_running_vcpu(), virt/kvm/kvm_main.c (v6.12)
    """
    return kvm.running_vcpus.get(kvm.sched.current)
