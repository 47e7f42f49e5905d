"""The scenario language: from the text of a file to operations.

A file is read line by line.  ``#!`` begins a directive about the machine, ``#`` a comment;
header lines say what the VM is like; every other line is an operation.

Ours.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kvmmu_edu.errors import UsageError
from kvmmu_edu.scenario import headers as _headers  # noqa: F401 - their words become known
from kvmmu_edu.scenario.arguments import Argument, is_vcpu_name, vcpu_name
from kvmmu_edu.scenario.grammar import VERBS, Operation, arguments_of, usage
from kvmmu_edu.scenario.operations import Background, OnVcpu, Par
from kvmmu_edu.scenario.quantities import number


@dataclass(frozen=True, slots=True)
class Statement:
    """A line of a scenario that is no comment and no directive.

    :ivar line: its number in the file, from 1
    :ivar text: the whole line, with its comment
    :ivar early: whether it comes before the vCPUs exist
    :ivar vcpu: which vCPU does it, where that matters
    """

    line: int
    text: str
    operation: Operation
    early: bool = False
    vcpu: int = 0


@dataclass(frozen=True, slots=True)
class Directives:
    """What ``#!`` lines say about the machine.

    :ivar module: arguments of the kvm and kvm_amd modules, ``name=value`` each
    :ivar lite: whether the trace leaves out changes of 4K SPTEs
    :ivar notrace: whether there is no trace
    """

    module: tuple[str, ...] = ()
    hugepages2m: int = 0
    hugepages1g: int = 0
    thp: str = "madvise"
    lite: bool = False
    notrace: bool = False


@dataclass(frozen=True, slots=True)
class Scenario:
    """A parsed scenario; *path* is what messages call it."""

    name: str
    path: str
    directives: Directives
    statements: tuple[Statement, ...]

    @property
    def operations(self) -> tuple[Statement, ...]:
        """The statements that are counted: all but header lines."""
        return tuple(s for s in self.statements if not s.operation.is_header)


def read_scenario(path: Path) -> Scenario:
    """Parse the scenario in a file, named after its folder or itself.

    :raises UsageError: naming file and line, when it cannot be read or understood
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; expected a scenario file") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not UTF-8 text; expected a scenario file") from None
    name = path.resolve().parent.name if path.name == "scenario.scn" else path.stem
    return parse_scenario(text, name=name, path=str(path))


def parse_scenario(text: str, *, name: str = "scenario", path: str = "scenario") -> Scenario:
    """Parse the text of a scenario.

    >>> scenario = parse_scenario("mem A anon4k 8M  # some memory")
    >>> scenario.operations[0].operation
    Mem(name='A', kind='anon4k', size=8388608, align=0, skew=0)

    :raises UsageError: naming *path* and line, when a line cannot be understood
    """
    settings: dict[str, Any] = {}
    statements = []
    for line, raw in enumerate(text.split("\n"), 1):
        stripped = raw.strip()
        try:
            if stripped.startswith("#!"):
                _read_directive(stripped[2:].split(), settings)
            elif stripped and not stripped.startswith("#"):
                statements.append(_statement(line, stripped))
        except UsageError as error:
            raise UsageError(f"{path}:{line}: {error}") from None
    return Scenario(name, path, Directives(**settings), tuple(statements))


def _read_directive(words: list[str], settings: dict[str, Any]) -> None:
    match words:
        case ["module", "kvm" | "kvm_amd", *args] if args:
            settings["module"] = (*settings.get("module", ()), *args)
        case ["hugepages2m" | "hugepages1g" as size, count]:
            settings[size] = number(count)
        case ["thp", "always" | "madvise" | "never" as mode]:
            settings["thp"] = mode
        case ["lite" | "notrace" as flag]:
            settings[flag] = True
        case _:
            raise UsageError(
                f"directive {' '.join(words)!r} is not known; expected module kvm|kvm_amd ARGS, "
                "hugepages2m N, hugepages1g N, thp always|madvise|never, lite or notrace"
            )


def _statement(line: int, text: str) -> Statement:
    words = text.split("#", 1)[0].split()
    early = words[:1] == ["early"]
    if early:
        words = words[1:]
    if not words:
        raise UsageError("nothing follows the prefix; expected an operation")
    if words[0] == "par":
        return Statement(line, text, _par(words[1:]), early)
    if words[0] == "bg":
        return Statement(line, text, Background(_guest_part(words[1:])), early)
    vcpu = 0
    if is_vcpu_name(words[0]):
        vcpu, words = vcpu_name(words[0]), words[1:]
    return Statement(line, text, parse_operation(words), early, vcpu)


def _par(words: list[str]) -> Par:
    parts: list[list[str]] = [[]]
    for item in words:
        if item == "|":
            parts.append([])
        else:
            parts[-1].append(item)
    found = tuple(_guest_part(part) for part in parts)
    vcpus = [part.vcpu for part in found]
    if len(set(vcpus)) != len(vcpus):
        raise UsageError("a vCPU is named twice; expected each of the parts on its own vCPU")
    return Par(found)


def _guest_part(words: list[str]) -> OnVcpu:
    if not words or not is_vcpu_name(words[0]):
        raise UsageError("a part names no vCPU; expected v0 OPERATION, v1 OPERATION, ...")
    operation = parse_operation(words[1:])
    if not operation.is_guest_work:
        raise UsageError(f"{words[1]!r} is not done by a vCPU; expected read, write, exec, ...")
    return OnVcpu(vcpu_name(words[0]), operation)


def parse_operation(words: list[str]) -> Operation:
    """Return the operation that *words*, its name first, stand for.

    >>> parse_operation(["read", "0x400000", "4"])
    GuestAccesses(kind='read', gpa=4194304, count=4, stride=4096)

    :raises UsageError: when the name is not known or the arguments do not fit
    """
    if not words:
        raise UsageError("nothing follows the prefix; expected an operation")
    name, *given = words
    meaning = VERBS.get(name)
    if meaning is None:
        raise UsageError(f"operation {name!r} is not known; expected one of {', '.join(VERBS)}")
    values = dict(meaning.fixed)
    for field_name, item, needed in arguments_of(meaning.kind):
        if not given:
            if needed:
                raise UsageError(f"{name} has no {item.name}; expected {usage(name)}")
            break
        values[field_name], given = _take(item, given)
    if given:
        raise UsageError(f"{given[0]!r} is one word too many; expected {usage(name)}")
    return meaning.kind(**values)


def _take(item: Argument, given: list[str]) -> tuple[Any, list[str]]:
    if item.rest:
        return tuple(item.read(text) for text in given), []
    return item.read(given[0]), given[1:]
