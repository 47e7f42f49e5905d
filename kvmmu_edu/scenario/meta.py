"""The machine of a recording: ``meta.txt``, or what a scenario's directives ask for.

Ours.
"""

import re
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import get_args

from kvmmu_edu.choices import KernelVersion, ModuleParams
from kvmmu_edu.errors import UsageError
from kvmmu_edu.host.mm import ThpMode
from kvmmu_edu.scenario.language import Directives
from kvmmu_edu.scenario.quantities import number

#: files of /sys/module/kvm*/parameters that meta.txt lists: the parameter's name there
_LISTED = re.compile(r"kvm(?:_amd)?\.(\w+)")
_TRUE, _FALSE = ("Y", "y", "1"), ("N", "n", "0")


@dataclass(frozen=True, slots=True)
class Machine:
    """The kernel, its module parameters and its memory settings.

    :ivar hugepages2m: hugetlb pages of 2 MiB in the pool
    :ivar hugepages1g: hugetlb pages of 1 GiB in the pool
    """

    kernel: KernelVersion = "6.12"
    params: ModuleParams = field(default_factory=ModuleParams)
    thp: ThpMode = "madvise"
    hugepages2m: int = 0
    hugepages1g: int = 0


def machine_of(directives: Directives, meta: Path | None, kernel: str | None = None) -> Machine:
    """Return the machine that a scenario is to run on.

    :param meta: the recording's meta.txt; None: the directives decide, on Linux 6.12
    :param kernel: overrides the kernel that meta.txt names
    :raises UsageError: when the file cannot be read, or a value is not understood
    """
    machine = _from_directives(directives) if meta is None else read_meta(meta)
    if kernel is None:
        return machine
    return replace(machine, kernel=kernel_version(kernel))


def kernel_version(text: str) -> KernelVersion:
    """Return the modelled kernel that a release such as ``6.1.0-56-amd64`` belongs to.

    >>> kernel_version("6.12.117+deb12-amd64")
    '6.12'

    :raises UsageError: when it is none of those that are modelled
    """
    for known in get_args(KernelVersion):
        if text == known or text.startswith(f"{known}."):
            return known  # type: ignore[no-any-return]
    raise UsageError(f"kernel {text!r} is not modelled; expected 6.12 or 6.1")


def read_meta(path: Path) -> Machine:
    """Read a recording's ``meta.txt``.

    :raises UsageError: naming file and line, when it cannot be read or understood
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "not UTF-8 text"
        raise UsageError(f"{path}: {why}; expected a recording's meta.txt") from None
    machine = Machine(params=ModuleParams())
    arguments: list[str] = []
    for line, text in enumerate(lines, 1):
        try:
            machine = _read_meta_line(text.strip(), machine, arguments)
        except UsageError as error:
            raise UsageError(f"{path}:{line}: {error}") from None
    # the file of nx_huge_pages shows Y or N, the argument says which of its modes it is
    for text in arguments:
        _set_argument(machine.params, text)
    return machine


def _read_meta_line(text: str, machine: Machine, arguments: list[str]) -> Machine:
    if not text:
        return machine
    name, equals, value = text.partition("=")
    listed = _LISTED.fullmatch(name)
    if not equals:
        raise UsageError(f"{text!r} is no setting; expected name=value")
    if name == "kernel":
        return replace(machine, kernel=kernel_version(value))
    if name in ("kvm_args", "kvm_amd_args"):
        arguments.extend(value.split())
    elif name == "thp":
        return _read_memory(text, machine)
    elif listed is not None:
        set_parameter(machine.params, listed[1], value)
    return machine


def _read_memory(text: str, machine: Machine) -> Machine:
    settings = dict(item.partition("=")[::2] for item in text.split())
    if not settings.keys() <= {"thp", "hugepages2m", "hugepages1g"}:
        raise UsageError(f"{text!r} is not known; expected thp=, hugepages2m= and hugepages1g=")
    return replace(
        machine,
        thp=_thp_mode(settings["thp"]),
        hugepages2m=number(settings.get("hugepages2m", "0")),
        hugepages1g=number(settings.get("hugepages1g", "0")),
    )


def _thp_mode(text: str) -> ThpMode:
    if text not in get_args(ThpMode):
        raise UsageError(f"thp is {text!r}; expected {', '.join(get_args(ThpMode))}")
    return text  # type: ignore[return-value]


def _from_directives(directives: Directives) -> Machine:
    params = ModuleParams()
    for text in directives.module:
        _set_argument(params, text)
    # without nested paging there is nothing for the TDP MMU to manage; its file then shows N
    params.tdp_mmu = params.tdp_mmu and params.npt
    return Machine(
        params=params,
        thp=_thp_mode(directives.thp),
        hugepages2m=directives.hugepages2m,
        hugepages1g=directives.hugepages1g,
    )


def _set_argument(params: ModuleParams, text: str) -> None:
    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"{text!r} is no module parameter; expected name=value")
    set_parameter(params, name, value)


def set_parameter(params: ModuleParams, name: str, value: str) -> None:
    """Set a parameter from its text, as when the module is loaded.

    :raises UsageError: when there is no such parameter, or the value does not fit it
    Kernel: module_param_cb, include/linux/moduleparam.h (v6.12)
    """
    known = [item.name for item in fields(params) if item.name != "others"]
    if name not in known:
        raise UsageError(f"module parameter {name!r} is not known; expected {', '.join(known)}")
    current = getattr(params, name)
    if isinstance(current, bool):
        if value not in _TRUE + _FALSE:
            raise UsageError(f"{name} is {value!r}; expected Y or N")
        setattr(params, name, value in _TRUE)
    elif isinstance(current, int):
        setattr(params, name, number(value))
    else:
        setattr(params, name, {"Y": "force", "N": "off"}.get(value, value))
