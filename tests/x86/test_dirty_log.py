"""Dirty logging: starting, reading, clearing, stopping."""

import numpy as np
import pytest

from kvmmu_edu.trace.events import SplitHugePage
from tests.x86.conftest import GPA


@pytest.mark.parametrize(("eager", "pages"), [(True, (1024, 0, 0)), (False, (0, 2, 0))])
def test_starting_splits_if_wanted(machine, eager, pages):
    made = machine("thp", 4 << 20)
    made.kvm.params.eager_page_split = eager
    made.vcpu.write(GPA)
    made.vcpu.write(GPA + (2 << 20))
    made.flags(1)
    assert made.pages() == pages
    assert not made.leaf(GPA)[0] & 2
    assert made.stats["remote_tlb_flush_requests"] == 1


def test_every_written_page_is_reported_once(machine):
    made = machine("thp", 4 << 20)
    made.vcpu.write(GPA)
    made.flags(1)
    for page in (3, 64, 700):
        made.vcpu.write(GPA + page * 4096)
    words = made.vm.get_dirty_log(0)
    assert [int(word) for word in words[[0, 1, 10]]] == [1 << 3, 1, 1 << 60]
    assert not made.vm.get_dirty_log(0).any()
    made.vcpu.write(GPA + 3 * 4096)
    assert int(made.vm.get_dirty_log(0)[0]) == 1 << 3


def test_read_only_slots_need_nothing(machine):
    made = machine(flags=2)
    made.flags(3)
    assert made.stats["remote_tlb_flush_requests"] == 0


def test_all_dirty_at_first_splits_when_cleared(machine):
    made = machine("thp", 4 << 20)
    made.vm.enable_cap(168, 3)
    made.vcpu.write(GPA)
    made.vcpu.write(GPA + (2 << 20))
    made.flags(1)
    assert made.pages() == (0, 2, 0)
    words = made.vm.get_dirty_log(0)
    assert words.all()
    made.vm.clear_dirty_log(0, 0, 64, words)
    assert made.pages() == (512, 1, 0)
    assert len(made.events(SplitHugePage)) == 1
    assert not made.leaf(GPA)[0] & 2
    assert made.leaf(GPA + 64 * 4096)[0] & 2


@pytest.mark.parametrize(("kernel", "splits"), [("6.12", 2), ("6.1", 1)])
def test_the_last_page_of_a_cleared_range(machine, kernel, splits):
    """6.1 takes the last frame for the end of the range to split, and so leaves it out."""
    made = machine("thp", 16 << 20, kernel=kernel)
    made.delete()
    # the slot starts one page below a large page, so a word of the log reaches into the next
    base, hva = GPA + (2 << 20) - 4096, made.hva + (2 << 20) - 4096
    made.vm.enable_cap(168, 3)
    made.vm.set_user_memory_region(0, 0, base, 6 << 20, hva)
    made.vcpu.write(base + 4096)
    made.vcpu.write(base + 4096 + (2 << 20))
    made.vm.set_user_memory_region(0, 1, base, 6 << 20, hva)
    assert made.pages() == (0, 2, 0)
    # the word of pages 512 to 575: page 512 ends the first large page, 513 begins the second
    made.vm.clear_dirty_log(0, 512, 64, np.array([0b11], np.uint64))
    assert len(made.events(SplitHugePage)) == splits
    made.vm.set_user_memory_region(0, 0, base, 0, hva)
    made.flags(0)


def test_a_move_keeps_the_log(machine):
    made = machine(flags=1)
    made.vcpu.write(GPA)
    made.vm.set_user_memory_region(0, 1, GPA * 2, made.nbytes, made.hva)
    assert int(made.vm.get_dirty_log(0)[0]) == 1
    made.vm.set_user_memory_region(0, 1, GPA, made.nbytes, made.hva)
