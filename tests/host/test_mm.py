"""The process as a whole: random work against a plain model, with a second MMU on top.

The model is a dictionary: page to what was written there and what may be done with it.  The
second MMU keeps what it was told until it hears that it changes, as KVM does; nothing that it
keeps may contradict the host.
"""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from kvmmu_edu.errors import KvmError, UsageError
from kvmmu_edu.host.gup import HostFault
from kvmmu_edu.host.mm import Mm
from kvmmu_edu.trace.recorder import Trace
from kvmmu_edu.units import GIB, MIB
from tests.host.bench import K4, M2, Process

SIZES = {"anon4k": 2 * M2, "thp": 3 * M2, "huge2m": 2 * M2, "shm": M2}
KINDS = st.sampled_from(sorted(SIZES))
#: pages near the ends and the middles of blocks, so that random ranges meet
PAGES = st.sampled_from([0, 1, 2, 3, 255, 256, 510, 511])
PLACES = st.tuples(st.integers(0, 2), PAGES)
#: where in a page: two words, so that a copy of what one does not write is seen
WORDS = st.sampled_from([0, K4 - 8])
SOME = st.tuples(st.integers(0, 2), PAGES, st.integers(0, 2), PAGES)
WHOLE_BLOCKS = st.tuples(st.integers(0, 2), st.just(0), st.integers(1, 3), st.just(0))
RANGES = WHOLE_BLOCKS | SOME


def errno_of(call, *arguments):
    """Return the errno with which *call* is refused, or None."""
    try:
        call(*arguments)
    except KvmError as error:
        return error.name
    return None


class SecondMmu:
    """Keeps pages until it hears that they change."""

    def __init__(self):
        self.pages = {}
        self.in_progress = []

    async def invalidate_range_start(self, start_hva, end_hva):
        assert start_hva < end_hva
        assert not start_hva % K4
        assert not end_hva % K4
        self.in_progress.append((start_hva, end_hva))
        self.pages = {
            hva: page for hva, page in self.pages.items() if not start_hva <= hva < end_hva
        }

    async def invalidate_range_end(self, start_hva, end_hva):
        assert self.in_progress.pop() == (start_hva, end_hva)


class HostMemory(RuleBasedStateMachine):
    kernel = "6.12"

    @initialize()
    def begin(self):
        self.process = Process(hugepages2m=2, kernel=self.kernel)
        self.mmu = SecondMmu()
        self.process.mm.notifiers[:] = [self.mmu]
        self.base = {kind: self.process.mmap(kind, kind, SIZES[kind]) for kind in SIZES}
        self.values = {}
        self.access = {
            hva: "rw" for kind in SIZES for hva in range(*self.span(kind, (0, 0, 9, 0)), K4)
        }

    def span(self, kind, where):
        """Return first and end of a range; it is whole pages of its kind of memory."""
        first_block, first_page, end_block, end_page = where
        page = M2 if kind == "huge2m" else K4
        first = min(first_block * M2 + first_page * K4, SIZES[kind] - page) // page * page
        end = min(end_block * M2 + end_page * K4, SIZES[kind]) // page * page
        return self.base[kind] + first, self.base[kind] + max(end, first + page)

    def pages(self, kind, where):
        start, end = self.span(kind, where)
        return range(start, end, K4)

    def forget(self, pages):
        if self.values:
            gone = set(pages)
            self.values = {at: v for at, v in self.values.items() if at // K4 * K4 not in gone}

    def page(self, kind, where):
        """Return the address of one page."""
        block, page = where
        return self.base[kind] + min(block * M2 + page * K4, SIZES[kind] - K4)

    @rule(kind=KINDS, where=PLACES, word=WORDS, value=st.integers(1, 2**64 - 1))
    def write(self, kind, where, word, value):
        hva = self.page(kind, where)
        if self.access.get(hva) == "rw":
            self.process.write(hva + word, value)
            self.values[hva + word] = value
        else:
            with pytest.raises(HostFault):
                self.process.write(hva + word, value)

    @rule(kind=KINDS, where=PLACES, word=WORDS)
    def read(self, kind, where, word):
        hva = self.page(kind, where)
        if self.access.get(hva) in {"r", "rw"}:
            assert self.process.read(hva + word) == self.values.get(hva + word, 0)
        else:
            with pytest.raises(HostFault):
                self.process.read(hva + word)

    @rule(kind=KINDS, where=PLACES, write=st.booleans())
    def access_through_the_second_mmu(self, kind, where, write):
        hva = self.page(kind, where)
        known = self.mmu.pages.get(hva)
        try:
            if known is None or (write and not known.writable):
                self.mmu.pages[hva] = self.process.fault_in(hva, write=write)
        except HostFault:
            assert self.access.get(hva) not in ({"rw"} if write else {"r", "rw"})
            return
        page = self.mmu.pages[hva]
        assert self.process.load(page.pfn, 0) == self.values.get(hva, 0)
        if write:
            self.process.store(page.pfn, 0, 77)
            self.values[hva] = 77

    @rule(kind=KINDS, where=RANGES, access=st.sampled_from(["none", "r", "rw"]))
    def mprotect(self, kind, where, access):
        start, end = self.span(kind, where)
        refused = errno_of(self.process.mprotect, start, end - start, access)
        for hva in range(start, end, K4):
            if hva not in self.access:
                assert refused == "ENOMEM"
                return
            self.access[hva] = access
        assert refused is None

    @rule(kind=KINDS, where=RANGES)
    def dontneed(self, kind, where):
        start, end = self.span(kind, where)
        self.madvise(start, end, "dontneed")
        if kind != "shm":
            self.forget(range(start, end, K4))

    @rule(where=RANGES)
    def make_a_hole(self, where):
        start, end = self.span("shm", where)
        if all(self.access.get(hva) == "rw" for hva in range(start, end, K4)):
            self.madvise(start, end, "remove")
            self.forget(range(start, end, K4))

    @rule(
        kind=st.sampled_from(["anon4k", "thp"]),
        where=RANGES,
        advice=st.sampled_from(["hugepage", "nohugepage", "free", "cold", "dontfork", "dofork"]),
    )
    def advise(self, kind, where, advice):
        self.madvise(*self.span(kind, where), advice)

    @rule(kind=st.sampled_from(["anon4k", "thp"]), where=RANGES)
    def collapse(self, kind, where):
        start, end = self.span(kind, where)
        refused = errno_of(self.process.madvise, start, end - start, "collapse")
        assert refused in {None, "EINVAL", "ENOMEM"}

    def madvise(self, start, end, advice):
        refused = errno_of(self.process.madvise, start, end - start, advice)
        hole = any(hva not in self.access for hva in range(start, end, K4))
        assert refused == ("ENOMEM" if hole else None)

    @rule(kind=KINDS, where=RANGES)
    def populate(self, kind, where):
        start, end = self.span(kind, where)
        if all(self.access.get(hva) == "rw" for hva in range(start, end, K4)):
            self.process.populate(start, end - start)
            assert self.process.page_for(start, write=True) is not None
            assert self.process.page_for(end - 1, write=True) is not None

    @rule(kind=KINDS, where=RANGES)
    def munmap(self, kind, where):
        start, end = self.span(kind, where)
        self.process.munmap(start, end - start)
        self.forget(range(start, end, K4))
        for hva in range(start, end, K4):
            self.access.pop(hva, None)

    @rule()
    def fork(self):
        self.process.fork()

    @invariant()
    def the_process_agrees_with_itself(self):
        self.process.check()
        assert not self.mmu.in_progress

    @invariant()
    def what_the_second_mmu_keeps_is_still_true(self):
        for hva, page in self.mmu.pages.items():
            now = self.process.page_for(hva, write=page.writable)
            assert now is not None, hex(hva)
            assert now.pfn == page.pfn

    @invariant()
    def memory_holds_what_was_written(self):
        for at, value in self.values.items():
            page = self.process.page_for(at, write=False)
            if page is not None:
                assert self.process.load(page.pfn, at % K4) == value


class HostMemoryOld(HostMemory):
    kernel = "6.1"


TestHostMemory = HostMemory.TestCase
TestHostMemory.settings = settings(max_examples=80, stateful_step_count=50, deadline=None)
TestHostMemoryOld = HostMemoryOld.TestCase
TestHostMemoryOld.settings = settings(max_examples=25, stateful_step_count=50, deadline=None)


def test_a_story_in_the_words_of_the_module(process):
    hva = process.mmap("A", "thp", 8 * MIB)
    process.write(hva, 0xA5)
    assert process.page_for(hva, write=True).level == 2


def test_numbers_are_little_endian_and_up_to_eight_bytes(process):
    hva = process.mmap("A", "anon4k", K4)
    process.write(hva, 0x0807060504030201)
    assert [process.read(hva + n, 1) for n in range(8)] == list(range(1, 9))
    process.write(hva, 0xFFFF, 1)
    assert process.read(hva, 2) == 0x02FF


def test_options_are_checked():
    with pytest.raises(UsageError, match="expected always, madvise or never"):
        Mm(Trace(), thp="sometimes")


def test_large_guests_are_cheap_in_objects():
    """64 GiB of small pages are 32768 tables; nothing is kept for each page."""
    process = Process()
    size = 2 * GIB
    hva = process.mmap("guest", "anon4k", size)
    process.populate(hva, size)
    assert len(process.page_table.blocks) == size // M2
    assert process.frames.free_ranges().tolist() == []
    pages = process.pages_for_range(hva, size // K4, write=True)
    assert (pages.pfns >= 0).all()
    process.madvise(hva, size, "dontneed")
    assert len(process.frames.extents) <= 2
    process.check()


def test_listeners_may_be_absent():
    process = Process()
    process.mm.notifiers.clear()
    hva = process.mmap("A", "anon4k", M2)
    process.read(hva)
    process.write(hva, 1)
    process.mprotect(hva, K4, "r")
    process.fork()
    process.munmap(hva, M2)
    process.check()
