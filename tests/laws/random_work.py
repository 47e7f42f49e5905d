"""Random work on a VM, each line of it compared with the plain model.

Every line is Python that calls the facade.  It is what runs, and what is printed when a line does
something else than the model says: a short program that can be pasted.
"""

import sys

import numpy as np
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

import kvmmu_edu
from kvmmu_edu import KvmError
from kvmmu_edu.host.gup import HostFault
from kvmmu_edu.virt.dirty_bitmap import dirty_pages
from tests.laws.plain_model import GIB, LOG, MIB2, PAGE, READONLY, Area, PlainModel, Refused

HEADER = """\
from contextlib import suppress
import numpy as np
from kvmmu_edu import *
from kvmmu_edu.host.gup import HostFault
refused = suppress(KvmError, HostFault)"""
SIZE = 3 * MIB2
#: what is added to an argument to make it one that no rule allows, or another one
BAD = [1, 0x800, -1, -PAGE, 1 << 16, 1 << 31, 1 << 40, 1 << 47, 1 << 52, 1 << 63, (1 << 64) - PAGE]
PARAMETERS = [
    ("nx_huge_pages", "force", None),
    ("nx_huge_pages", "force", None),
    ("nx_huge_pages", "off", None),
    ("nx_huge_pages", "auto", None),
    ("nx_huge_pages", "never", "EBUSY"),
    ("nx_huge_pages", "perhaps", "EINVAL"),
    ("eager_page_split", "N", None),
    ("eager_page_split", "Y", None),
    ("eager_page_split", "2", "EINVAL"),
    ("nx_huge_pages_recovery_ratio", "1", None),
    ("nx_huge_pages_recovery_ratio", "0", None),
    ("nx_huge_pages_recovery_ratio", "-1", "EINVAL"),
    ("nx_huge_pages_recovery_period_ms", "100", None),
    ("nx_huge_pages_recovery_period_ms", "4294967296", "ERANGE"),
    ("mmio_caching", "N", "EACCES"),
    ("npt", "0", "EACCES"),
    ("colour", "1", "ENOENT"),
]
#: so many pages may be in a dirty ring before the work collects them
RING_BYTES, RING_PAGES = 4096, 100

# places that matter: the edges of pages of 4K, 2M and 1G, and some between
hot = st.sampled_from([0, 1, 5, 511, 512, 513, 1024])
pages = st.one_of(hot, hot, st.sampled_from([2, 63, 64, 1023, 1535]), st.integers(0, 1535))
high = st.sampled_from([0x3FFFF, 0x40000, 0x40001, 0x40200, 0x7FFFF, 0x80000, (1 << 28) - 1])
gfns = st.one_of(pages, pages, pages, high)
slot_gfns = st.one_of(gfns, st.sampled_from([1 << 28, (1 << 52) - 1]))
npages = st.sampled_from([1, 1, 2, 63, 64, 65, 511, 512, 513, 1024, 1536])
slot_npages = st.one_of(npages, st.just(262144))
offsets = st.sampled_from([0, 0, 0, 8, 0x123, PAGE - 8, PAGE - 1])
sizes = st.sampled_from([1, 2, 4, 8])
values = st.sampled_from([0, 1, 0x1122334455667788, (1 << 64) - 1])
accesses = st.sampled_from(["read", "write", "write", "rmw", "exec"])
vcpus = st.integers(0, 7)
ids = st.integers(0, 3)
any_number = st.sampled_from([0, 3, 0x10000, 32763, 32764, 65535, 0x20000, (1 << 32) - 1])
numbers = st.integers(0, 1000)
flags = st.sampled_from([0, 0, LOG, LOG, READONLY, LOG | READONLY])
names = st.sampled_from(["A", "B"])
kinds = st.sampled_from(["anon4k", "thp", "thp", "shm", "huge2m", "huge1g"])
machines = st.builds(
    dict,
    kernel=st.sampled_from(["6.12", "6.1"]),
    paging=st.sampled_from(["npt", "npt", "ept"]),
    flush_on_zap=st.sampled_from(["batched", "batched", "per_table"]),
    memslots=st.sampled_from(["tree", "tree", "array"]),
)
hosts = st.builds(
    dict,
    grain=st.sampled_from([1, 512, 4096]),
    thp=st.sampled_from(["madvise", "always", "never"]),
    tlb_empty_at_entry=st.booleans(),
    hugepages2m=st.just(6),
    hugepages1g=st.just(2),
)


def call(name, *arguments, **more):
    """Return the text of a call."""
    texts = [one if isinstance(one, str) else f"{one:#x}" for one in arguments]
    return f"{name}({', '.join(texts + [f'{key}={value!r}' for key, value in more.items()])})"


class Work(RuleBasedStateMachine):
    """One program."""

    lines_run = 0

    # --- running a line, and comparing ---------------------------------------------------------

    def run(self, line):
        """Run a line of the program and check the VM; return what its expression gives."""
        Work.lines_run += 1
        self.program.append(line)
        try:
            exec(compile("_ = " + line, "<program>", "exec"), self.names)
        finally:
            if "vm" in self.names:
                self.names["vm"].check()
        return self.names["_"]

    def try_to(self, line, allowed, *, unchanged=False):
        """Run a line that is to be refused with one of *allowed*; None means: not refused.

        :param unchanged: a refusal leaves the state as it was
        """
        before = self.vm.state_hash() if unchanged and allowed != {None} else ""
        result, errno = None, None
        try:
            result = self.run(line)
        except KvmError as error:
            errno = error.name
        except HostFault:
            errno = "HostFault"
        if errno is not None:
            self.program[-1] = f"with refused: {line}  # {errno}"
        assert errno in allowed, f"{line}: {errno}, the model: {allowed}"
        if errno and before:
            assert self.vm.state_hash() == before, f"{line} was refused but changed something"
        return result

    def both(self, line, rule, *arguments, unchanged=False):
        """Run a line and the model's rule for it.

        :returns: what both gave, and whether the line was let through
        """
        try:
            expected, errno = rule(*arguments), None
        except Refused as error:
            expected, errno = None, str(error)
        return self.try_to(line, {errno}, unchanged=unchanged), expected, errno is None

    def place(self, name, page):
        """Return an address in the process's memory, as text and as a number."""
        area = self.model.areas[name]
        offset = page * PAGE % area.nbytes
        return f"{name} + {offset:#x}", area.hva + offset

    def has_slots(self):
        return bool(self.model.slots)

    def slot(self, number, *, logged=False):
        """Return one of the slots that there are, one that is logged if possible."""
        slots = [slot for _, slot in sorted(self.model.slots.items())]
        slots = [slot for slot in slots if logged and slot.logged()] or slots
        return slots[number % len(slots)]

    @initialize(machine=machines, host=hosts, a=kinds, b=kinds, eager=st.booleans(),
                nx=st.sampled_from(["off", "force"]), manual=st.sampled_from([0, 0, 1, 3]),
                ring=st.sampled_from([0, 0, 0, RING_BYTES]), quirk=st.booleans(),
                first=st.sampled_from([0, LOG, LOG, READONLY]), two=st.booleans())  # fmt: skip
    def make(self, machine, host, a, b, nx, eager, manual, quirk, ring, first, two):
        """Make a VM and something to begin with."""
        self.model = PlainModel(machine["kernel"])
        self.names = vars(kvmmu_edu) | {"np": np}
        self.program = [HEADER]
        self.recent = [0]
        if "huge1g" in {a, b} and host["grain"] == 1:
            # one entry at a time through a gigabyte would take long
            host |= {"grain": 512}
        params = call("ModuleParams", nx_huge_pages=nx, eager_page_split=eager)
        choices = call("Choices", **machine)
        self.run(f"vm = {call('Vm', f'choices={choices}', f'params={params}', **host)}")
        self.vm = self.names["vm"]
        for name, kind in (("A", a), ("B", b)):
            nbytes = GIB if kind == "huge1g" else SIZE
            hva = self.run(f"{name} = {call('vm.host.mmap', repr(name), repr(kind), nbytes)}")
            self.model.areas[name] = Area(kind, hva, nbytes)
        if quirk and machine["kernel"] == "6.12":
            self.run("vm.enable_cap(213, 1 << 7)")
        if ring:
            self.run(f"vm.enable_cap(192, {ring})")
            self.model.ring = True
        self.enable_manual_protect(manual)
        self.create_vcpu()
        self.create_whole(0, first, "A")
        if two:
            self.create_whole(1, LOG, "B")

    # --- slots ---------------------------------------------------------------------------------

    def set_region(self, number, flags, gpa, nbytes, hva, text=""):
        # a slot is taken away before it is found that it cannot be where it should go
        moves_too_far = number in self.model.slots and gpa + nbytes > 1 << 40
        line = call("vm.set_user_memory_region", number, flags, gpa, nbytes, text or hva)
        arguments = (number, flags, gpa, nbytes, hva)
        self.both(line, self.model.set_region, *arguments, unchanged=not moves_too_far)

    @rule(number=ids, flags=flags, how=st.sampled_from(["there", "whole", "anywhere"]),
          gfn=slot_gfns, n=slot_npages, name=names, page=pages)  # fmt: skip
    def create(self, number, flags, how, gfn, n, name, page):
        """Create a slot: where the guest looked last, or all of a mapping, or anywhere."""
        if how == "whole":
            self.create_whole(number, flags, name)
            return
        text, hva = self.place(name, page)
        if how == "there":
            gfn = max(self.recent[-1] // PAGE - gfn % 4, 0)
        else:
            # sometimes in the address space of system management mode
            number |= gfn % 4 // 3 << 16
        self.set_region(number, flags, gfn * PAGE, n * PAGE, hva, text)

    def create_whole(self, number, flags, name):
        """Create a slot that may be mapped with pages as large as the host's."""
        text, hva = self.place(name, 0)
        nbytes = self.model.areas[name].nbytes
        gpa = number * 4 * MIB2 if nbytes < GIB else (1 + number) * GIB
        self.set_region(number, flags, gpa, nbytes, hva, text)

    @precondition(has_slots)
    @rule(number=numbers, what=st.sampled_from(["log", "log", "flags", "move", "delete"]),
          flags=flags, gfn=slot_gfns)  # fmt: skip
    def change(self, number, what, flags, gfn):
        one = self.slot(number)
        if what == "delete":
            self.set_region(one.number, 0, 0, 0, 0)
            return
        flags = {"log": one.flags ^ LOG, "move": one.flags ^ flags & LOG}.get(what, flags)
        gpa = gfn * PAGE if what == "move" else one.gpa
        self.set_region(one.number, flags, gpa, one.nbytes, one.hva)

    @precondition(has_slots)
    @rule(number=numbers, which=st.integers(0, 4), bad=st.sampled_from(BAD))
    def bad_region(self, number, which, bad):
        """Change a slot, with one argument that cannot be, or is not allowed to change."""
        one = self.slot(number)
        arguments = [one.number, one.flags, one.gpa, one.nbytes, one.hva]
        arguments[which] += bad
        if min(arguments) >= 0 and max(arguments[:2]) < 1 << 32 and max(arguments) < 1 << 64:
            self.set_region(*arguments)

    # --- the guest -----------------------------------------------------------------------------

    def access(self, vcpu, kind, gpa, nbytes, value=0):
        if self.model.ring_is_filling(RING_PAGES):
            self.collect_and_reset()
        self.recent = [*self.recent[-3:], gpa]
        which = vcpu % self.model.vcpus
        arguments = {"exec": (gpa,), "write": (gpa, value, nbytes)}.get(kind, (gpa, nbytes))
        line = call(f"vm.vcpus[{which}].{kind}", *arguments)
        exits, expected, done = self.both(line, self.model.access, kind, gpa, nbytes, value)
        if not done:
            return
        wanted, loaded = expected
        found = [(e.reason, e.gpa, e.length, e.is_write) for e in exits]
        assert found == wanted, f"{line}: exits {found}, the model: {wanted}"
        if kind == "read" and not exits:
            value = loads(self.vm.vcpus[which], gpa, nbytes)
            assert value == loaded, f"{line}: {value:#x}, the model: {loaded:#x}"

    @rule(vcpu=vcpus, kind=accesses, gfn=gfns, offset=offsets, nbytes=sizes, value=values)
    def anywhere(self, vcpu, kind, gfn, offset, nbytes, value):
        gpa = gfn * PAGE + min(offset, PAGE - nbytes)
        self.access(vcpu, kind, gpa, nbytes, value & (1 << 8 * nbytes) - 1)

    def touch(self, vcpu, number, page, kind, value=0):
        """Access memory where there is some."""
        one = self.slot(number)
        self.access(vcpu, kind, one.gpa + page * PAGE % one.nbytes, 8, value)

    @precondition(has_slots)
    @rule(vcpu=vcpus, number=numbers, page=pages)
    def read(self, vcpu, number, page):
        self.touch(vcpu, number, page, "read")

    @precondition(has_slots)
    @rule(vcpu=vcpus, number=numbers, page=pages, value=values)
    def write(self, vcpu, number, page, value):
        self.touch(vcpu, number, page, "write", value)

    @precondition(has_slots)
    @rule(vcpu=vcpus, number=numbers, page=pages, kind=st.sampled_from(["rmw", "exec"]))
    def rmw_or_exec(self, vcpu, number, page, kind):
        self.touch(vcpu, number, page, kind)

    @precondition(has_slots)
    @rule(vcpu=vcpus, number=numbers, page=pages, kind=accesses, n=st.integers(2, 6),
          stride=st.sampled_from([1, 3, 64, 512]), value=values)  # fmt: skip
    def several(self, vcpu, number, page, kind, n, stride, value):
        for i in range(n):
            self.touch(vcpu + i % 2, number, page + i * stride, kind, value)

    @rule(vcpu=vcpus, which=st.integers(1, 4), kind=accesses, value=values)
    def again(self, vcpu, which, kind, value):
        """Access what was accessed lately, however the VM has changed since."""
        self.access(vcpu, kind, self.recent[-which % len(self.recent)] & -8, 8, value)

    @rule(vcpu=vcpus, value=values)
    def write_again(self, vcpu, value):
        self.access(vcpu, "write", self.recent[-1] & -8, 8, value)

    @precondition(has_slots)
    @rule(vcpu=vcpus, number=numbers, page=pages, n=st.sampled_from([0, 1, 3, 512, 600]),
          bad=st.sampled_from([0, 0, 0, 0, 1]))  # fmt: skip
    def pre_fault(self, vcpu, number, page, n, bad):
        one = self.slot(number)
        # what is pre-faulted goes to a dirty ring as well, and nobody looks how full that is
        n = min(n, 3) if self.model.ring else n
        gpa, nbytes = one.gpa + page * PAGE % one.nbytes, n * PAGE + bad
        line = call(f"vm.vcpus[{vcpu % self.model.vcpus}].pre_fault_memory", gpa, nbytes)
        left, expected, done = self.both(line, self.model.pre_fault, gpa, nbytes)
        assert not done or left == expected, f"{line}: {left} bytes left, the model: {expected}"

    @precondition(lambda self: self.model.vcpus < 3)
    @rule()
    def create_vcpu(self):
        self.run("vm.create_vcpu()")
        self.model.vcpus += 1

    # --- the dirty log -------------------------------------------------------------------------

    def get_log(self, number, result=""):
        line = result + call("vm.get_dirty_log", number)
        words, expected, done = self.both(line, self.model.get_log, number, unchanged=True)
        if done:
            self.compare_reports(line, set(dirty_pages(words).tolist()), *expected)

    def compare_reports(self, line, found, must, may):
        forgotten, invented = sorted(must - found)[:9], sorted(found - may)[:9]
        assert not forgotten, f"{line}: {forgotten} were written and are not reported"
        assert not invented, f"{line}: {invented} are reported and were not even read"

    @precondition(has_slots)
    @rule(number=numbers)
    def get_dirty_log(self, number):
        self.get_log(self.slot(number, logged=True).number)

    @precondition(has_slots)
    @rule(vcpu=vcpus, number=numbers, page=hot, kind=st.sampled_from(["write", "rmw"]),
          rounds=st.integers(1, 3), stop=st.booleans())  # fmt: skip
    def migrate(self, vcpu, number, page, kind, rounds, stop):
        """Do what a migration does while the guest writes to a page again and again."""
        one = self.slot(number)
        gpa = one.gpa + page * PAGE % one.nbytes
        self.access(vcpu, kind, gpa, 8, rounds)
        if not one.logged():
            self.set_region(one.number, one.flags | LOG, one.gpa, one.nbytes, one.hva)
        for i in range(rounds):
            self.access(vcpu, kind, gpa, 8, i)
            self.take_log(one.number, one.nbytes)
        if stop:
            self.set_region(one.number, one.flags & ~LOG, one.gpa, one.nbytes, one.hva)
            self.access(vcpu + 1, kind, gpa, 8, 77)

    def take_log(self, number, nbytes):
        """Take what was written, in whatever way the VM has."""
        if self.model.ring:
            self.collect_and_reset()
            return
        self.get_log(number, "words = ")
        if self.model.manual:
            cleared = dirty_pages(self.names["words"]).tolist()
            line = call("vm.clear_dirty_log", number, 0, nbytes // PAGE, "words")
            self.both(line, self.model.clear_log, number, 0, nbytes // PAGE, cleared)

    @precondition(has_slots)
    @rule(number=numbers, first=st.sampled_from([0, 0, 0, 64, 512, 1, 1 << 20]), n=npages,
          bits=st.sampled_from([1, 0xFF00FF00FF00FF00, (1 << 64) - 1]),
          exact=st.booleans())  # fmt: skip
    def clear_dirty_log(self, number, first, n, bits, exact):
        one = self.slot(number, logged=True)
        left = one.nbytes // PAGE - first
        n = left if exact and 0 < left < 4096 else n
        words = -(-n // 64)
        line = call("vm.clear_dirty_log", one.number, first, n, f"np.full({words}, {bits}, 'u8')")
        cleared = [first + i for i in range(words * 64) if bits >> i % 64 & 1]
        self.both(line, self.model.clear_log, one.number, first, n, cleared, unchanged=True)

    def collect_and_reset(self):
        found = set()
        for which in range(self.model.vcpus):
            found |= set(self.run(f"vm.vcpus[{which}].collect_dirty_ring()"))
        self.compare_reports("the rings", found, self.model.ring_written, self.model.ring_seen)
        self.run("vm.reset_dirty_rings()")
        self.model.ring_written -= found
        self.model.ring_seen -= found

    @precondition(lambda self: self.model.ring)
    @rule()
    def use_rings(self):
        self.collect_and_reset()

    def enable_manual_protect(self, value):
        line = f"vm.enable_cap(168, {value})"
        self.both(line, self.model.enable_manual_protect, value, unchanged=True)

    # --- the host ------------------------------------------------------------------------------

    @rule(name=names, page=pages, offset=offsets, nbytes=sizes, value=values, write=st.booleans())
    def host_access(self, name, page, offset, nbytes, value, write):
        text, hva = self.place(name, page)
        text, hva, value = f"{text} + {offset}", hva + offset, value & (1 << 8 * nbytes) - 1
        if write:
            line = call("vm.host.write", text, value, nbytes)
            self.both(line, self.model.host_write, hva, value, nbytes)
            return
        line = call("vm.host.read", text, nbytes)
        found, expected, done = self.both(line, self.model.host_read, hva, nbytes)
        assert not done or found == expected, f"{line}: {found:#x}, the model: {expected:#x}"

    def part(self, name, page, n):
        """Return a range; of pages that are huge for the process, whole ones or part of one."""
        area = self.model.areas[name]
        offset, nbytes = page * PAGE % area.nbytes, n * PAGE
        if offset % area.unit + nbytes > area.unit > PAGE:
            offset -= offset % area.unit
            nbytes = max(nbytes // area.unit, 1) * area.unit
        return f"{name} + {offset:#x}", area.hva + offset, nbytes

    @rule(name=names, page=pages, n=npages, wrong=st.sampled_from([0, 0, 0, 1]),
          advice=st.sampled_from(["dontneed", "dontneed", "free", "remove", "populate-read",
                                  "populate-write", "cold"]))  # fmt: skip
    def madvise(self, name, page, n, wrong, advice):
        text, hva, nbytes = self.part(name, page, n)
        line = call("vm.host.madvise", f"{text} + {wrong}", nbytes, repr(advice))
        self.both(line, self.model.madvise, hva + wrong, nbytes, advice)

    @rule(name=names, page=pages, n=npages,
          advice=st.sampled_from(["hugepage", "nohugepage", "collapse"]))  # fmt: skip
    def make_huge(self, name, page, n, advice):
        text, _ = self.place(name, page)
        if self.model.areas[name].unit == PAGE:
            # whether it can be done depends on how pages are mapped; what stands in them stays
            allowed = {None, "ENOMEM", "EINVAL"} if advice == "collapse" else {None, "ENOMEM"}
            self.try_to(call("vm.host.madvise", text, n * PAGE, repr(advice)), allowed)

    @rule(name=names, page=pages, n=npages, access=st.sampled_from(["r", "rw", "rw", "none"]))
    def mprotect(self, name, page, n, access):
        text, hva, nbytes = self.part(name, page, n)
        line = call("vm.host.mprotect", text, nbytes, repr(access))
        self.both(line, self.model.mprotect, hva, nbytes, access)

    @precondition(lambda self: len(self.program) > 40)
    @rule(name=names, page=pages, n=npages)
    def munmap(self, name, page, n):
        text, hva, nbytes = self.part(name, page, n)
        self.both(call("vm.host.munmap", text, nbytes), self.model.munmap, hva, nbytes)

    @rule(name=names, page=pages, n=npages, what=st.sampled_from(["populate", "age", "fork"]))
    def no_change(self, name, page, n, what):
        """Let the host do what changes nothing that stands in memory."""
        text, hva, nbytes = self.part(name, page, n)
        if what == "populate":
            self.both(call("vm.host.populate", text, nbytes), self.model.populate, hva, nbytes)
        elif what == "fork":
            self.run("vm.host.fork()")
        elif self.model.right(hva) is not None:
            # which pages were used?  Asked again at once, the answer is none
            line = f"vm.run({call('vm.kvm.mm.age', text, nbytes)})"
            self.run(line)
            assert self.run(line) == 0

    # --- the rest ------------------------------------------------------------------------------

    @rule(what=st.sampled_from(PARAMETERS), ms=st.sampled_from([0, 99, 100, 60_000, 3_600_000]))
    def set_module_param(self, what, ms):
        name, value, errno = what
        line = call("vm.set_module_param", repr(name), repr(value))
        self.try_to(line, {errno}, unchanged=True)
        self.run(f"vm.advance({ms})")

    @rule(which=st.integers(0, 3), value=st.sampled_from([0, 1, 2, 3, 4, 63, 64, 1000]),
          number=any_number)  # fmt: skip
    def odds_and_ends(self, which, value, number):
        if which == 0:
            errno = "EINVAL" if value < 64 else None
            self.try_to(f"vm.set_nr_mmu_pages({value})", {errno}, unchanged=True)
        elif which == 1:
            self.get_log(number)
        elif which == 2:
            self.set_region(number, 0, 0, 0, 0)
        elif value not in {0, 1, 3} or not any(s.logged() for s in self.model.slots.values()):
            # while a slot is logged the kernel changes the rules under it, and writes may be lost
            self.enable_manual_protect(value)

    def teardown(self):
        if not hasattr(self, "names"):
            return
        note("\n".join(self.program))
        if sys.exc_info()[0] is None:
            self.run("vm.destroy()")


def loads(vcpu, gpa, nbytes):
    """Return what a load gives to the guest, once it is let through."""
    pfn = vcpu.state.arch.cpu._translate(gpa, 4)
    assert pfn >= 0
    return vcpu.vm.kvm.mm.load(pfn, gpa % PAGE, nbytes)
