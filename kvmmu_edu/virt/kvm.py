"""The state of one virtual machine, its fields grouped by the lock that guards them.

Kernel: struct kvm, include/linux/kvm_host.h (v6.12)
"""

from typing import TYPE_CHECKING, Any

from kvmmu_edu.choices import Choices, ModuleParams
from kvmmu_edu.sync.cells import Counter, Shared
from kvmmu_edu.sync.clock import VirtualClock
from kvmmu_edu.sync.locks import Mutex, RwLock, Spinlock
from kvmmu_edu.sync.rcu import Rcu
from kvmmu_edu.sync.task import Scheduler, Task
from kvmmu_edu.trace.recorder import Trace
from kvmmu_edu.units import Gfn
from kvmmu_edu.virt.memslots import init_memslots

if TYPE_CHECKING:
    from kvmmu_edu.host.mm import Mm
    from kvmmu_edu.virt.arch import Arch
    from kvmmu_edu.virt.memory_slot import MemorySlot
    from kvmmu_edu.virt.memslots import Memslots
    from kvmmu_edu.virt.vcpu import KvmVcpu

#: x86 has two: 0 for everything, 1 for system management mode
ADDRESS_SPACE_NUM = 2


class Kvm:
    """A virtual machine.

    Kernel: struct kvm, include/linux/kvm_host.h (v6.12)
    """

    def __init__(
        self,
        mm: "Mm",
        choices: Choices,
        params: ModuleParams,
        sched: Scheduler,
        trace: Trace,
    ) -> None:
        """Make the locks and the empty fields; the modules that own them fill them in."""
        # set when the VM is made
        self.mm = mm
        self.choices = choices
        self.params = params
        self.sched = sched
        self.trace = trace
        self.clock = VirtualClock(sched)
        self.arch: Arch
        self.rcu = Rcu("rcu", sched)
        self.srcu = Rcu("kvm->srcu", sched)
        # of the module, not of the VM; there is one VM for each modelled kernel
        self.kvm_lock = Mutex("kvm_lock", sched, trace)
        self.lock = Mutex("kvm->lock", sched, trace)
        self.slots_lock = Mutex("slots_lock", sched, trace)
        self.slots_arch_lock = Mutex("slots_arch_lock", sched, trace)
        self.mmu_lock = RwLock("mmu_lock", sched, trace)
        self.mn_invalidate_lock = Spinlock("mn_invalidate_lock", sched, trace)

        # no lock: whether the process may reboot the machine, which some capabilities ask for
        self.capable_sys_boot = True

        # kvm->lock
        self.vcpus: list[KvmVcpu] = []
        self.dirty_ring_size = 0
        self.manual_dirty_log_protect = 0

        # slots_lock for writing, srcu for reading: both sets of each address space, and
        # which one is active
        self._memslots: list[list[Memslots]]
        self.memslots: list[Shared[Memslots]]
        init_memslots(self, ADDRESS_SPACE_NUM)
        self.nr_memslot_pages = 0
        self.nr_memslots_dirty_logging = Counter("nr_memslots_dirty_logging", 0)
        self.slot_serials = 0

        # mn_invalidate_lock
        self.mn_active_invalidate_count = 0

        # mmu_lock for writing; the first two are read without it (mmu_invalidate_retry)
        self.mmu_invalidate_in_progress = Shared("mmu_invalidate_in_progress", 0)
        self.mmu_invalidate_seq = Shared("mmu_invalidate_seq", 0)
        self.mmu_invalidate_range_start: Gfn = -1
        self.mmu_invalidate_range_end: Gfn = -1

        # each task writes its own entry
        self.running_vcpus: dict[Task, KvmVcpu] = {}

        # no lock: for lookups by serial, in messages and pictures
        self.slots_by_serial: dict[int, MemorySlot] = {}
        # no lock: what the x86 half keeps
        self.arch_state: Any = None
