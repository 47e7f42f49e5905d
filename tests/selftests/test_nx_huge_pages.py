"""What the kernel's nx_huge_pages_test asserts: pages_2m and nx_lpage_splits, step by step."""

import pytest

from kvmmu_edu import ModuleParams, Vm

PAGE = 2 << 20
GPA = 4 << 30
STEPS = ("read 0", "read 1", "exec 0", "exec 2", "read 0", "recover", "read 2")
MITIGATED = [(1, 0), (2, 0), (1, 1), (1, 2), (1, 2), (1, 0), (2, 0)]
SWITCHED_OFF = [(1, 0), (2, 0), (2, 0), (3, 0), (3, 0), (3, 0), (3, 0)]


@pytest.mark.parametrize(("disabled", "expected"), [(False, MITIGATED), (True, SWITCHED_OFF)])
def test_pages_and_splits(disabled, expected):
    params = ModuleParams(
        nx_huge_pages="force", nx_huge_pages_recovery_ratio=1, nx_huge_pages_recovery_period_ms=100
    )
    vm = Vm(params=params, hugepages2m=3)
    if disabled:
        vm.enable_cap(220)
    hva = vm.host.mmap("pages", "huge2m", 3 * PAGE)
    vm.host.populate(hva, 3 * PAGE)
    vm.set_user_memory_region(10, 0, GPA, 3 * PAGE, hva)
    vcpu = vm.create_vcpu()
    seen = []
    for step in STEPS:
        if step == "recover":
            # the test waits for five periods
            vm.advance(500)
        else:
            kind, page = step.split()
            getattr(vcpu, kind)(GPA + int(page) * PAGE)
        seen.append((vm.counters.vm["pages_2m"], vm.counters.vm["nx_lpage_splits"]))
        vm.check()
    assert seen == expected
