"""What the kernel's dirty_log_page_splitting_test asserts of page statistics."""

import numpy as np
import pytest

from kvmmu_edu import Vm

SIZE = 64 << 20
PAGES = SIZE // 4096


def pages(vm):
    stats = vm.counters.vm
    return stats["pages_4k"], stats["pages_2m"] + stats["pages_1g"]


def flags(vm, slots, value):
    for number, (gpa, hva) in slots.items():
        vm.set_user_memory_region(number, value, gpa, SIZE, hva)


@pytest.mark.parametrize("manual", [False, True])
def test_split_and_back(manual):
    vm = Vm(hugepages2m=2 * SIZE >> 21)
    if manual:
        vm.enable_cap(168, 3)
    slots = {}
    for number in (1, 2):
        hva = vm.host.mmap(f"backing {number}", "huge2m", SIZE)
        slots[number] = (number << 30, hva)
    flags(vm, slots, 0)
    vcpus = {number: vm.create_vcpu() for number in slots}

    def touch_all():
        for number, (gpa, _) in slots.items():
            for page in range(0, PAGES, 64):
                vcpus[number].write(gpa + page * 4096)

    touch_all()
    populated = pages(vm)
    assert 512 * populated[1] == 2 * PAGES

    flags(vm, slots, 1)
    if not manual:
        assert pages(vm)[1] == 0
        assert pages(vm)[0] >= 2 * PAGES
    else:
        assert pages(vm) == populated
    for _ in range(2):
        for number in slots:
            words = vm.get_dirty_log(number)
            if manual:
                vm.clear_dirty_log(number, 0, PAGES, np.full_like(words, 2**64 - 1))
        assert pages(vm)[1] == 0
        assert pages(vm)[0] >= 2 * PAGES
        touch_all()

    flags(vm, slots, 0)
    touch_all()
    assert pages(vm)[1] == populated[1]
    vm.check()
