"""When a fault must try again: ranges, sequence numbers, and their order."""

import pytest

from kvmmu_edu.errors import InvariantError, KernelBug
from kvmmu_edu.virt.mmu_invalidate import (
    INVALID_GPA,
    mmu_invalidate_begin,
    mmu_invalidate_end,
    mmu_invalidate_range_add,
    mmu_invalidate_retry,
    mmu_invalidate_retry_gfn,
    mmu_invalidate_retry_gfn_unsafe,
)
from tests.virt.bench import run


def locked(kvm, *functions):
    async def work():
        async with kvm.mmu_lock.write:
            return [function() for function in functions]

    return run(kvm, work())


def begin(kvm, start, end):
    locked(
        kvm,
        lambda: mmu_invalidate_begin(kvm),
        lambda: mmu_invalidate_range_add(kvm, start, end),
    )


def end(kvm):
    locked(kvm, lambda: mmu_invalidate_end(kvm))


def retries(kvm, seq, *gfns):
    """What the locked and the unlocked question answer for each gfn: always the same at rest."""
    answers = []
    for gfn in gfns:
        [safe] = locked(kvm, lambda gfn=gfn: mmu_invalidate_retry_gfn(kvm, seq, gfn))
        assert safe == mmu_invalidate_retry_gfn_unsafe(kvm, seq, gfn)
        answers.append(safe)
    return answers


def seq_of(kvm):
    return kvm.mmu_invalidate_seq.read_once()


def window(kvm):
    return kvm.mmu_invalidate_range_start, kvm.mmu_invalidate_range_end


def test_nothing_happened(kvm):
    assert retries(kvm, 0, 0, 5) == [False, False]
    assert not mmu_invalidate_retry(kvm, 0)


def test_under_way_only_the_range_retries(kvm):
    seq = seq_of(kvm)
    begin(kvm, 0x10, 0x20)
    assert retries(kvm, seq, 0xF, 0x10, 0x1F, 0x20) == [False, True, True, False]
    assert mmu_invalidate_retry(kvm, seq)


def test_afterwards_everything_that_began_before_retries(kvm):
    seq = seq_of(kvm)
    begin(kvm, 0x10, 0x20)
    end(kvm)
    assert retries(kvm, seq, 0x10, 0x99) == [True, True]
    assert retries(kvm, seq_of(kvm), 0x10, 0x99) == [False, False]
    assert mmu_invalidate_retry(kvm, seq)


def test_ranges_under_way_together_make_one_that_only_grows(kvm):
    begin(kvm, 0x10, 0x20)
    begin(kvm, 0x50, 0x60)
    assert window(kvm) == (0x10, 0x60)
    end(kvm)
    # the first is over, but which part it was is not known
    assert window(kvm) == (0x10, 0x60)
    assert retries(kvm, seq_of(kvm), 0x10, 0x30, 0x5F, 0x60) == [True, True, True, False]
    end(kvm)
    assert retries(kvm, seq_of(kvm), 0x10, 0x30) == [False, False]


def test_the_next_one_starts_with_a_range_of_its_own(kvm):
    begin(kvm, 0x10, 0x60)
    end(kvm)
    begin(kvm, 0x100, 0x101)
    assert window(kvm) == (0x100, 0x101)


def test_several_ranges_of_one_invalidation(kvm):
    begin(kvm, 0x50, 0x60)
    locked(kvm, lambda: mmu_invalidate_range_add(kvm, 0x10, 0x20))
    assert window(kvm) == (0x10, 0x60)


def test_begun_without_a_range_everything_retries(kvm):
    locked(kvm, lambda: mmu_invalidate_begin(kvm))
    assert window(kvm) == (INVALID_GPA, INVALID_GPA)
    assert locked(kvm, lambda: mmu_invalidate_retry_gfn(kvm, 0, 0x77)) == [True]
    # the unlocked question may be wrong here: it is asked again under the lock
    assert not mmu_invalidate_retry_gfn_unsafe(kvm, 0, 0x77)


def test_the_sequence_grows_before_the_count_falls(kvm, monkeypatch):
    begin(kvm, 0, 1)
    writes = []
    cell = type(kvm.mmu_invalidate_seq)
    for name in ("write_once", "store_release"):
        plain = getattr(cell, name)
        monkeypatch.setattr(
            cell,
            name,
            lambda self, value, plain=plain: (
                writes.append((self.name, value)),
                plain(self, value),
            ),
        )
    end(kvm)
    assert writes == [("mmu_invalidate_seq", 1), ("mmu_invalidate_in_progress", 0)]


def test_bugs(kvm):
    with pytest.raises(KernelBug, match="no invalidation has begun"):
        locked(kvm, lambda: mmu_invalidate_range_add(kvm, 0, 1))
    with pytest.raises(KernelBug, match="ends that has not begun"):
        locked(kvm, lambda: mmu_invalidate_end(kvm))
    with pytest.raises(KernelBug, match="no range was added"):
        locked(kvm, lambda: mmu_invalidate_begin(kvm), lambda: mmu_invalidate_end(kvm))


@pytest.mark.parametrize(
    "function",
    [
        mmu_invalidate_begin,
        mmu_invalidate_end,
        lambda kvm: mmu_invalidate_range_add(kvm, 0, 1),
        lambda kvm: mmu_invalidate_retry_gfn(kvm, 0, 0),
    ],
)
def test_without_the_lock(kvm, function):
    with pytest.raises(InvariantError, match="needs mmu_lock"):
        function(kvm)
