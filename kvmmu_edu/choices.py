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


@dataclass(frozen=True, slots=True)
class Choices:
    """The modelled kernel and machine; it does not change while a VM lives.

    :param kernel: ``"6.12"`` or ``"6.1"``, the stable trees 6.12.117 and 6.1.192
    :param paging: the SPTE format: ``"npt"`` (AMD) or ``"ept"`` (Intel)
    :param maxphyaddr: width of host physical addresses, bits
    """

    kernel: KernelVersion = "6.12"
    paging: PagingFormat = "npt"
    maxphyaddr: int = 40

    def __post_init__(self) -> None:
        """Refuse values that no code reads."""
        if self.kernel not in ("6.12", "6.1"):
            raise UsageError(f'kernel is {self.kernel!r}; expected "6.12" or "6.1"')
        if self.paging not in ("npt", "ept"):
            raise UsageError(f'paging is {self.paging!r}; expected "npt" or "ept"')
        if not 36 <= self.maxphyaddr <= 52:
            raise UsageError(f"maxphyaddr is {self.maxphyaddr}; expected 36 to 52 bits")

    @property
    def is_6_1(self) -> bool:
        """Whether code of Linux 6.1 is to be followed where the two differ."""
        return self.kernel == "6.1"


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
