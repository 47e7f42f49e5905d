"""Which kernel is modelled, and with which parameters.

Two objects, because they live differently: :class:`Choices` is decided when a VM is made
and read beside the code that differs; :class:`ModuleParams` are the files of
``/sys/module/kvm*/parameters`` and may change while the VM runs.
"""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from kvmmu_edu.errors import UsageError

KernelVersion: TypeAlias = Literal["6.12", "6.1"]
PagingFormat: TypeAlias = Literal["npt", "ept"]
FlushOnZap: TypeAlias = Literal["batched", "per_table"]
TdpMmuPages: TypeAlias = Literal["counter", "list"]
MemslotSets: TypeAlias = Literal["tree", "array"]


@dataclass(frozen=True, slots=True)
class Choices:
    """The modelled kernel and machine; it does not change while a VM lives.

    :param kernel: ``"6.12"`` or ``"6.1"``, the stable trees 6.12.117 and 6.1.192
    :param paging: the SPTE format: ``"npt"`` (AMD) or ``"ept"`` (Intel)
    :param maxphyaddr: width of host physical addresses, bits; at most the 48 that four levels
        of page tables translate, for five levels are not modelled
    :param flush_on_zap: who flushes when page tables are removed: ``"batched"``: the caller,
        once; ``"per_table"``: each removal for itself, as before Linux 5.18
    :param tdp_mmu_pages: how page tables are kept track of: ``"counter"``: they are counted;
        ``"list"``: they are listed, under a spinlock; None: as the kernel does (6.1 lists them)
    :param memslots: how the slots of a set are kept: ``"tree"``: in trees; ``"array"``: in an
        array that is copied for each change, as before Linux 5.17
    :ivar is_6_1: whether code of Linux 6.1 is to be followed where the two differ
    """

    kernel: KernelVersion = "6.12"
    paging: PagingFormat = "npt"
    maxphyaddr: int = 40
    flush_on_zap: FlushOnZap = "batched"
    tdp_mmu_pages: TdpMmuPages | None = None
    memslots: MemslotSets = "tree"
    is_6_1: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse values that no code reads."""
        _expect("kernel", self.kernel, ("6.12", "6.1"))
        _expect("paging", self.paging, ("npt", "ept"))
        _expect("flush_on_zap", self.flush_on_zap, ("batched", "per_table"))
        _expect("tdp_mmu_pages", self.tdp_mmu_pages, ("counter", "list", None))
        _expect("memslots", self.memslots, ("tree", "array"))
        if not 36 <= self.maxphyaddr <= 48:
            raise UsageError(f"maxphyaddr is {self.maxphyaddr}; expected 36 to 48 bits")
        object.__setattr__(self, "is_6_1", self.kernel == "6.1")

    @property
    def lists_tdp_mmu_pages(self) -> bool:
        """Whether page tables are on a list, besides being counted."""
        return self.tdp_mmu_pages == "list" or (self.tdp_mmu_pages is None and self.is_6_1)


def _expect(name: str, value: object, allowed: tuple[str | None, ...]) -> None:
    if value not in allowed:
        *most, last = (f'"{one}"' if one else "None" for one in allowed)
        raise UsageError(f"{name} is {value!r}; expected {', '.join(most)} or {last}")


@dataclass(slots=True)
class ModuleParams:
    """Parameters of the kvm and kvm_amd modules, by the kernel's names.

    :ivar nx_huge_pages: ``off``, ``force``, ``auto`` or ``never``
    :ivar others: what was written to parameters that concern no memory; never changed in place

    Kernel: arch/x86/kvm/mmu/mmu.c, arch/x86/kvm/svm/svm.c (v6.12)
    """

    tdp_mmu: bool = True
    eager_page_split: bool = True
    mmio_caching: bool = True
    nx_huge_pages: str = "off"
    nx_huge_pages_recovery_ratio: int = 60
    nx_huge_pages_recovery_period_ms: int = 0
    npt: bool = True
    nested: bool = True
    others: dict[str, int] = field(default_factory=dict)
