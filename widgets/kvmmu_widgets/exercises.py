"""What the exercises of the lessons are checked with: functions of the learner's answer.

Each returns a verdict, or the reason why the answer is wrong, for :func:`check`.  Ours.
"""

from collections.abc import Callable, Mapping
from typing import Any

from kvmmu_edu.errors import UsageError
from kvmmu_edu.lib.rbtree import RbNode
from kvmmu_edu.units import MIB, PAGE_SHIFT, PAGE_SIZE, Gfn
from kvmmu_edu.virt.gfn_tree import search_memslots
from kvmmu_edu.virt.hva_tree import for_each_memslot_in_hva_range
from kvmmu_edu.virt.memslots import id_to_memslot, memslots
from kvmmu_edu.vm import Vm
from kvmmu_edu.x86.mmu_state import mmu_of
from kvmmu_widgets import experiments, look, runs
from kvmmu_widgets.verdict import Verdict, is_missing

_STUB = "let the function return its answer in place of `...`"


def counts(wanted: Mapping[str, int]) -> Callable[[Any], Verdict | str]:
    """Return a check of a VM: each of these counters has this value.

    :param wanted: values by names of :meth:`Counters.flat`, such as ``vm.pages_2m``

    >>> counts({"vm.pages_4k": 2})(runs.first_access())
    almost: `vm.pages_4k` is 1
    """

    def check(vm: Any) -> Verdict | str:
        if not isinstance(vm, Vm):
            return f"expected a VM, this is {type(vm).__name__}"
        flat = vm.counters.flat()
        unknown = [name for name in wanted if name not in flat]
        if unknown:
            return f"there is no counter {unknown[0]} yet: has a vCPU been created?"
        wrong = {name: flat[name] for name, value in wanted.items() if flat[name] != value}
        if not wrong:
            return Verdict("correct")
        said = ", ".join(f"`{name}` is {value}" for name, value in wrong.items())
        close = len(wrong) == 1 and all(abs(wanted[name] - n) <= 1 for name, n in wrong.items())
        return Verdict("almost" if close or len(wrong) < len(wanted) else "keep working", said)

    return check


def finds_slots(search: Callable[[RbNode | None, Gfn], Any]) -> Verdict | str:
    """Check a function that is to find the slot of a gfn, given the top node of the gfn tree."""
    vm = runs.slots(9, "shuffled")
    slots = memslots(vm.kvm)
    right = 0
    first = ""
    frames = range(0xF0, 0xA20, 5)
    for gfn in frames:
        expected = search_memslots(slots, gfn)
        found = search(slots.gfn_tree.rb_node, gfn)
        if is_missing(found) and expected is not None and not right:
            return Verdict("still missing", _STUB)
        if found is expected:
            right += 1
        elif not first:
            first = f"gfn {gfn:#x} is in {expected or 'no slot'}, the function says {found}"
    if right == len(frames):
        return Verdict("correct")
    return Verdict("almost" if right > 0.9 * len(frames) else "keep working", first)


def shows_a_page_often(times: int) -> Callable[[Any], Verdict | str]:
    """Return a check of a VM: its first page of host memory is in so many slots."""

    def check(vm: Any) -> Verdict | str:
        if not isinstance(vm, Vm):
            return f"expected a VM, this is {type(vm).__name__}"
        try:
            hva = runs.ram(vm)
        except UsageError:
            return f"the host process has no mapping called {runs.RAM}"
        found = len(list(for_each_memslot_in_hva_range(memslots(vm.kvm), hva, hva)))
        if found == times:
            return Verdict("correct")
        said = f"the first page of `ram` is in {found} slots"
        return Verdict("almost", said) if abs(found - times) == 1 else said

    return check


def srcu_waits(**changes: int) -> int:
    """Return how many SRCU waits so many changes take, measured one by one.

    :param changes: how many of each of ``create``, ``delete``, ``move``, ``flags``

    >>> srcu_waits(create=200)
    200
    """
    costs = experiments.costs_of_changes()
    by_name = dict(zip(costs["change"], costs["SRCU waits"], strict=True))
    return sum(by_name[what] * count for what, count in changes.items())


def errnos(answers: Any) -> Verdict | str:
    """Check which errno a learner expects of attempts of :func:`experiments.refusals`."""
    if not isinstance(answers, dict):
        return f"expected a dict from attempts to errnos, this is {type(answers).__name__}"
    grid = experiments.refusals()
    known = dict(zip(grid["attempt"], grid["errno"], strict=True))
    unknown = [text for text in answers if text not in known]
    if unknown:
        return f"there is no attempt {unknown[0]!r}"
    given = {text: str(errno) for text, errno in answers.items() if not is_missing(errno)}
    if not given:
        return Verdict("still missing", "put an errno, or `0`, in place of each `...`")
    right = [text for text, errno in given.items() if errno == known[text]]
    if len(right) == len(answers):
        return Verdict("correct")
    said = f"{len(right)} of {len(answers)} are right"
    return Verdict("almost", said) if len(right) == len(answers) - 1 else said


def gfn_tree_depth(count: int) -> int:
    """Return how deep the gfn tree of *count* slots is that were created in rising order."""
    return int(look.sets(runs.many_slots(count))["gfn tree"][0])


def one_huge_page_off_alignment(vm: Any) -> Verdict | str:
    """Check a VM whose slot 0 misses the 2 MiB alignment on both sides, with one 2M page."""
    if not isinstance(vm, Vm):
        return f"expected a VM, this is {type(vm).__name__}"
    slot = id_to_memslot(memslots(vm.kvm), 0)
    if slot is None:
        return "the VM has no slot 0"
    if not (slot.base_gfn << PAGE_SHIFT) % (2 * MIB):
        return f"gpa {slot.base_gfn << PAGE_SHIFT:#x} is a multiple of 2 MiB"
    if not slot.userspace_addr % (2 * MIB):
        return f"hva {slot.userspace_addr:#x} is a multiple of 2 MiB"
    found = vm.counters.vm["pages_2m"]
    if found == 1:
        return Verdict("correct")
    why = "look at `look.levels(mine)`: " if vm.counters.vm["pages_4k"] else ""
    return Verdict("almost", f"{why}{found} 2M pages are mapped")


def tdp_mmu_pages(nbytes: int) -> int:
    """Return how many tables below roots a guest has that touched *nbytes* of 4K pages."""
    return mmu_of(runs.touched(nbytes).kvm).tdp_mmu_pages.read_once()


def pages_of_an_odd_slot(answer: Any) -> Verdict | str:
    """Check how many pages of each size map 5 MiB from gpa 1 MiB on, gpa and hva alike."""
    vm = runs.machine("thp", 5 * MIB, gpa=MIB, skew=MIB, trace="none")
    for gpa in range(MIB, 6 * MIB, PAGE_SIZE):
        vm.vcpus[0].write(gpa)
    stats = vm.counters.vm
    return _parts(answer, {"2M": stats["pages_2m"], "4K": stats["pages_4k"]})


def ten_reads_in_a_hole(answer: Any) -> Verdict | str:
    """Check what ten reads of one address without memory are counted as."""
    vm = runs.machine(trace="none")
    for _ in range(10):
        vm.vcpus[0].read(64 * MIB)
    stats = vm.vcpus[0].stats
    return _parts(answer, {name: stats[name] for name in ("pf_taken", "mmio_exits")})


def _parts(answer: Any, expected: Mapping[str, int]) -> Verdict | str:
    """Compare the parts of an answer of which some may still be missing."""
    if not isinstance(answer, dict) or answer.keys() != expected.keys():
        return f"expected a dict with the keys {', '.join(map(repr, expected))}"
    missing = [key for key in expected if is_missing(answer[key])]
    if len(missing) == len(expected):
        return Verdict("still missing", "put a number in place of each `...`")
    wrong = [key for key, value in expected.items() if answer[key] != value]
    if not wrong:
        return Verdict("correct")
    said = f"{', '.join(wrong)} {'is' if len(wrong) == 1 else 'are'} not right yet"
    return Verdict("almost", said) if len(wrong) == 1 < len(expected) else said
