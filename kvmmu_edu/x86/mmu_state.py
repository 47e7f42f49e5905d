"""What the x86 MMU keeps for one VM, its fields grouped by the lock that guards them.

Kernel: struct kvm_arch, arch/x86/include/asm/kvm_host.h (v6.12)
"""

from typing import TYPE_CHECKING

from kvmmu_edu.sync.cells import Counter
from kvmmu_edu.sync.locks import Spinlock
from kvmmu_edu.units import Gfn
from kvmmu_edu.x86.arena import Arena
from kvmmu_edu.x86.shadow_state import ShadowPages
from kvmmu_edu.x86.spte import spte_format

if TYPE_CHECKING:
    from kvmmu_edu.sync.clock import Alarm
    from kvmmu_edu.sync.task import Task
    from kvmmu_edu.virt.kvm import Kvm

#: KVM_X86_QUIRK_SLOT_ZAP_ALL: deleting or moving a slot zaps everything
X86_QUIRK_SLOT_ZAP_ALL = 1 << 7

#: entries in a span: one table
DEFAULT_GRAIN = 512


class NxRecovery:
    """The worker of one VM.

    :ivar task: its task, None before it is started
    :ivar last: when it recovered last, or was started, ticks
    :ivar alarm: what it sleeps on
    :ivar stopping: whether it shall end

    Ours as an object of its own: in the kernel fields of struct kvm_arch.
    """

    __slots__ = ("alarm", "last", "stopping", "task")

    def __init__(self) -> None:
        """Have no worker."""
        self.task: Task | None = None
        self.last = 0
        self.alarm: Alarm | None = None
        self.stopping = False


class MmuState:
    """The page tables of a VM and what goes with them.

    :ivar arena: all tables
    :ivar fmt: the masks of the SPTE format
    :ivar grain: how many entries a walk may handle at once
    :ivar tdp_mmu_enabled: whether the TDP MMU maps what the guest uses
    :ivar roots: rows of the TDP roots, newest first
    :ivar root_count: references to each root
    :ivar tdp_mmu_pages: tables linked, roots not counted
    :ivar shadow: the pages of the shadow MMU

    Ours as an object of its own: in the kernel fields of struct kvm_arch.
    Kernel: struct kvm_arch, arch/x86/include/asm/kvm_host.h (v6.12)
    """

    def __init__(self, kvm: "Kvm", grain: int = DEFAULT_GRAIN) -> None:
        """Make the MMU of a VM without vCPUs."""
        # set when the VM is made
        self.kvm = kvm
        self.fmt = spte_format(kvm.choices)
        self.grain = grain
        self.tdp_mmu_enabled = kvm.params.tdp_mmu
        self.arena = Arena(self.fmt.SHADOW_NONPRESENT_VALUE)
        self.max_gfn: Gfn = (1 << (kvm.choices.maxphyaddr - 12)) - 1
        self.tdp_mmu_pages_lock = Spinlock("tdp_mmu_pages_lock", kvm.sched, kvm.trace)

        # kvm->lock
        self.disabled_quirks = 0
        self.disable_nx_huge_pages = False
        self.n_requested_mmu_pages = 0

        # tdp_mmu_pages_lock for writing, RCU or mmu_lock for reading
        self.roots: list[int] = []
        # tdp_mmu_pages_lock; ordered as the kernel's list: a dict keeps the order of insertion
        self.possible_nx_huge_pages: dict[int, None] = {}
        # tdp_mmu_pages_lock, or mmu_lock for writing; empty where tables are only counted
        self.listed_tdp_mmu_pages: dict[int, None] = {}

        # atomic
        self.root_count: dict[int, int] = {}
        self.tdp_mmu_pages = Counter("tdp_mmu_pages", 0)

        # mmu_lock for writing
        self.mmu_valid_gen = 0
        self.n_max_mmu_pages = 0
        self.n_used_mmu_pages = 0
        self.shadow = ShadowPages()
        # its own task; others wake it
        self.nx_recovery = NxRecovery()
        # slots_lock: roots to zap once mmu_lock is held for reading
        self.scheduled_roots_to_zap: set[int] = set()

    def check_has_quirk(self, quirk: int) -> bool:
        """Return whether *quirk* is in force (user space has not disabled it).

        Kernel: kvm_check_has_quirk(), arch/x86/kvm/x86.h (v6.12)
        """
        return not self.disabled_quirks & quirk


def mmu_of(kvm: "Kvm") -> MmuState:
    """Return the x86 state of a VM.

    Ours: ``kvm->arch``.
    """
    mmu: MmuState = kvm.arch_state
    return mmu
