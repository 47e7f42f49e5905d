import pytest

from kvmmu_edu.bench import faults


@pytest.mark.parametrize("work", [faults.faults_by_call, faults.faults_by_program])
@pytest.mark.parametrize("trace", ["none", "events", "steps"])
def test_each_page_is_a_fault(work, trace):
    # the function itself sees that there was one fault for each page
    assert work(20, trace) > 0
