"""Module parameters while VMs run: the files in /sys/module/kvm*/parameters.

A file that cannot be written refuses to be opened (EACCES).  Most others just take the value;
those about NX huge pages act at once: all mappings of all VMs are thrown away, recovery workers
are woken.

Kernel: set_nx_huge_pages(), arch/x86/kvm/mmu/mmu.c; module_param_cb,
    include/linux/moduleparam.h (v6.12)
Simplified: one VM shares the parameters of a modelled kernel, so the list of VMs has one member.
"""

from typing import TYPE_CHECKING, Final, NamedTuple

from kvmmu_edu.errors import KvmError
from kvmmu_edu.lib.kstrtox import kstrtobool, kstrtoint, kstrtouint
from kvmmu_edu.x86.mmu import mmu_zap_all_fast
from kvmmu_edu.x86.mmu_state import mmu_of
from kvmmu_edu.x86.nx_huge_pages import nx_huge_pages_on, nx_hugepage_mitigation_hard_disabled
from kvmmu_edu.x86.nx_recovery import calc_nx_huge_pages_recovery_period, wake_nx_recovery_thread

if TYPE_CHECKING:
    from kvmmu_edu.choices import ModuleParams
    from kvmmu_edu.virt.kvm import Kvm

_BOTH: Final = ("6.12", "6.1")
_NX: Final = "nx_huge_pages"
_RECOVERY: Final = ("nx_huge_pages_recovery_ratio", "nx_huge_pages_recovery_period_ms")


class Parameter(NamedTuple):
    """A file in /sys/module/MODULE/parameters.

    :ivar kind: ``bool`` shows Y or N; ``int`` and ``uint`` a number; ``bint`` takes a truth
        value and shows a number
    :ivar default: on the modelled machine, if the parameter concerns no memory (else
        :class:`~kvmmu_edu.choices.ModuleParams` has it)
    :ivar writable: the kernels in which the file can be written
    :ivar kernels: the kernels that have it

    Kernel: struct kernel_param, include/linux/moduleparam.h (v6.12)
    """

    module: str
    kind: str
    default: int = 0
    writable: tuple[str, ...] = ()
    kernels: tuple[str, ...] = _BOTH


PARAMETERS: Final = {
    # what the model acts upon
    "eager_page_split": Parameter("kvm", "bool", 1, _BOTH),
    "mmio_caching": Parameter("kvm", "bool", 1),
    _NX: Parameter("kvm", "bool", 0, _BOTH),
    "nx_huge_pages_recovery_period_ms": Parameter("kvm", "uint", 0, _BOTH),
    "nx_huge_pages_recovery_ratio": Parameter("kvm", "uint", 60, _BOTH),
    # in 6.1 it is asked whenever a VM is made
    "tdp_mmu": Parameter("kvm", "bool", 1, ("6.1",)),
    "nested": Parameter("kvm_amd", "int", 1),
    "npt": Parameter("kvm_amd", "bool", 1),
    # the rest
    "enable_pmu": Parameter("kvm", "bool", 0),
    "enable_virt_at_load": Parameter("kvm", "bool", 1, kernels=("6.12",)),
    "enable_vmware_backdoor": Parameter("kvm", "bool", 0),
    "flush_on_reuse": Parameter("kvm", "bool", 0, _BOTH),
    "force_emulation_prefix": Parameter("kvm", "int", 0, _BOTH),
    "halt_poll_ns": Parameter("kvm", "uint", 200_000, _BOTH),
    "halt_poll_ns_grow": Parameter("kvm", "uint", 2, _BOTH),
    "halt_poll_ns_grow_start": Parameter("kvm", "uint", 10_000, _BOTH),
    "halt_poll_ns_shrink": Parameter("kvm", "uint", 2, _BOTH),
    "ignore_msrs": Parameter("kvm", "bool", 0, _BOTH),
    "kvmclock_periodic_sync": Parameter("kvm", "bool", 1),
    "lapic_timer_advance": Parameter("kvm", "bool", 1, kernels=("6.12",)),
    "lapic_timer_advance_ns": Parameter("kvm", "int", -1, ("6.1",), ("6.1",)),
    "min_timer_period_us": Parameter("kvm", "uint", 200, _BOTH),
    "mitigate_smt_rsb": Parameter("kvm", "bool", 0),
    "pi_inject_timer": Parameter("kvm", "bint", 0, _BOTH),
    "report_ignored_msrs": Parameter("kvm", "bool", 1, _BOTH),
    "tsc_tolerance_ppm": Parameter("kvm", "uint", 250, _BOTH),
    "vector_hashing": Parameter("kvm", "bool", 1),
    "avic": Parameter("kvm_amd", "bool", 0),
    "debug_swap": Parameter("kvm_amd", "bool", 0, kernels=("6.12",)),
    "dump_invalid_vmcb": Parameter("kvm_amd", "bool", 0, _BOTH),
    "force_avic": Parameter("kvm_amd", "bool", 0),
    "intercept_smi": Parameter("kvm_amd", "bool", 1),
    "lbrv": Parameter("kvm_amd", "int", 0),
    "nrips": Parameter("kvm_amd", "int", 0),
    "pause_filter_count": Parameter("kvm_amd", "uint", 0),
    "pause_filter_count_grow": Parameter("kvm_amd", "uint", 2),
    "pause_filter_count_max": Parameter("kvm_amd", "uint", 65_535),
    "pause_filter_count_shrink": Parameter("kvm_amd", "uint", 0),
    "pause_filter_thresh": Parameter("kvm_amd", "uint", 0),
    "sev": Parameter("kvm_amd", "bool", 0),
    "sev_es": Parameter("kvm_amd", "bool", 0),
    "sev_snp": Parameter("kvm_amd", "bool", 0, kernels=("6.12",)),
    "tsc_scaling": Parameter("kvm_amd", "int", 0),
    "vgif": Parameter("kvm_amd", "int", 1),
    "vls": Parameter("kvm_amd", "int", 0),
    "vnmi": Parameter("kvm_amd", "bool", 0, kernels=("6.12",)),
}
#: a default that differs
_DEFAULTS_6_1: Final = {"halt_poll_ns_shrink": 0}


def find_parameter(kvm: "Kvm", name: str) -> tuple[str, Parameter]:
    """Return the bare name and the description of parameter *name*, or ``MODULE/NAME``.

    :raises KvmError: ENOENT, this kernel has no such file
    Ours.
    """
    module, _, bare = name.rpartition("/")
    found = PARAMETERS.get(bare)
    if found is None or kvm.choices.kernel not in found.kernels or module not in {"", found.module}:
        raise KvmError("ENOENT", f"Linux {kvm.choices.kernel} has no module parameter {name}")
    return bare, found


def param_attr_show(kvm: "Kvm", name: str) -> str:
    """Return what the file of a parameter shows, without the end of the line.

    :raises KvmError: ENOENT
    Kernel: param_attr_show(), kernel/params.c; get_nx_huge_pages(), arch/x86/kvm/mmu/mmu.c
        (v6.12)
    """
    bare, parameter = find_parameter(kvm, name)
    if bare == _NX:
        if nx_hugepage_mitigation_hard_disabled(kvm.params):
            return "never"
        value = int(nx_huge_pages_on(kvm.params))
    else:
        value = int(_value(kvm, bare, parameter))
    return "NY"[bool(value)] if parameter.kind == "bool" else str(value)


def _value(kvm: "Kvm", bare: str, parameter: Parameter) -> int:
    if hasattr(kvm.params, bare):
        return int(getattr(kvm.params, bare))
    default = _DEFAULTS_6_1.get(bare, parameter.default)
    return kvm.params.others.get(bare, default if kvm.choices.is_6_1 else parameter.default)


async def param_attr_store(kvm: "Kvm", name: str, text: str) -> None:
    """Write *text* to the file of a parameter.

    :raises KvmError: ENOENT, no such file; EACCES, it is read-only; EINVAL or ERANGE, the value;
        EBUSY, EPERM: see :func:`set_nx_huge_pages`
    Kernel: param_attr_store(), kernel/params.c (v6.12)
    In v6.1: tdp_mmu can be written, which concerns the next VM.
    """
    bare, parameter = find_parameter(kvm, name)
    if kvm.choices.kernel not in parameter.writable:
        raise KvmError("EACCES", f"module parameter {name} cannot be written while KVM runs")
    if bare == _NX:
        await set_nx_huge_pages(kvm, text)
    elif bare in _RECOVERY:
        set_nx_huge_pages_recovery_param(kvm, bare, text)
    else:
        _store(kvm.params, bare, _parse(parameter, text))


def _store(params: "ModuleParams", bare: str, value: int) -> None:
    if hasattr(params, bare):
        setattr(params, bare, type(getattr(params, bare))(value))
    else:
        params.others = params.others | {bare: value}


# --- NX huge pages --------------------------------------------------------------------------------


async def set_nx_huge_pages(kvm: "Kvm", text: str) -> None:
    """Switch NX huge pages on or off, for VMs that run as well.

    Mappings made under the old rule must go: all of them are thrown away.

    :param text: ``off``, ``force``, ``auto`` (on a CPU with the bug), ``never``, or a truth value
    :raises KvmError: EBUSY, ``never`` while there is a VM; EPERM after ``never``; EINVAL
    Locks: takes kvm_lock, then slots_lock.
    Kernel: set_nx_huge_pages(), arch/x86/kvm/mmu/mmu.c (v6.12)
    """
    params, word = kvm.params, text.removesuffix("\n")
    _refuse_hard_disabled(params)
    if word == "never":
        raise KvmError("EBUSY", "nx_huge_pages can become 'never' only before the first VM is made")
    was_on = nx_huge_pages_on(params)
    if word not in {"off", "force", "auto"}:
        word = "force" if kstrtobool(text) else "off"
    params.nx_huge_pages = word
    if nx_huge_pages_on(params) != was_on:
        async with kvm.kvm_lock:
            async with kvm.slots_lock:
                await mmu_zap_all_fast(mmu_of(kvm))
            wake_nx_recovery_thread(kvm)


def set_nx_huge_pages_recovery_param(kvm: "Kvm", bare: str, text: str) -> None:
    """Change how much is recovered, or how often.

    A worker that sleeps is woken only if it is to work sooner than it thinks.

    :raises KvmError: EPERM after ``never``; EINVAL, ERANGE
    Kernel: set_nx_huge_pages_recovery_param(), arch/x86/kvm/mmu/mmu.c (v6.12)
    Simplified: kvm_lock is not taken around the waking; nothing in between can be interrupted.
    """
    _refuse_hard_disabled(kvm.params)
    old = calc_nx_huge_pages_recovery_period(kvm.params)
    _store(kvm.params, bare, kstrtouint(text))
    new = calc_nx_huge_pages_recovery_period(kvm.params)
    if new is not None and (old is None or old > new):
        wake_nx_recovery_thread(kvm)


def _refuse_hard_disabled(params: "ModuleParams") -> None:
    if nx_hugepage_mitigation_hard_disabled(params):
        raise KvmError("EPERM", "nx_huge_pages is 'never', which cannot be taken back")


def _parse(parameter: Parameter, text: str) -> int:
    if parameter.kind in {"bool", "bint"}:
        return int(kstrtobool(text))
    return kstrtouint(text) if parameter.kind == "uint" else kstrtoint(text)
