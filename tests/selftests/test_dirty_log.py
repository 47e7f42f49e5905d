"""What the kernel's dirty_log_test asserts: every written page is reported, and no other twice."""

import random

import numpy as np
import pytest

from kvmmu_edu import Vm
from kvmmu_edu.virt.dirty_bitmap import dirty_pages

PAGES = 1024


@pytest.mark.parametrize("kind", ["anon4k", "thp"])
@pytest.mark.parametrize("mode", ["dirty-log", "clear-log"])
def test_bitmaps(kind, mode):
    vm = Vm()
    if mode == "clear-log":
        vm.enable_cap(168, 1)
    hva = vm.host.mmap("memory", kind, PAGES * 4096)
    vm.set_user_memory_region(1, 1, 1 << 30, PAGES * 4096, hva)
    vcpu = vm.create_vcpu()
    draw = random.Random(7)
    for _ in range(5):
        written = set()
        for _ in range(200):
            page = draw.randrange(PAGES)
            vcpu.write((1 << 30) + page * 4096 + 8 * draw.randrange(512))
            written.add(page)
        words = vm.get_dirty_log(1)
        assert set(dirty_pages(words).tolist()) == written
        if mode == "clear-log":
            vm.clear_dirty_log(1, 0, PAGES, words)
        vm.check()
    assert not np.any(vm.get_dirty_log(1))


def test_ring():
    vm = Vm()
    vm.enable_cap(192, 65536)
    hva = vm.host.mmap("memory", "anon4k", PAGES * 4096)
    vm.set_user_memory_region(1, 1, 1 << 30, PAGES * 4096, hva)
    vcpu = vm.create_vcpu()
    draw = random.Random(7)
    for _ in range(5):
        written = {draw.randrange(PAGES) for _ in range(100)}
        for page in sorted(written):
            assert vcpu.write((1 << 30) + page * 4096) == []
        collected = vcpu.collect_dirty_ring()
        assert {offset for _, offset in collected} == written
        assert {slot for slot, _ in collected} == {1}
        assert vm.reset_dirty_rings() == len(collected)
        vm.check()
