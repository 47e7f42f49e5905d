import pytest

from kvmmu_edu import UsageError
from kvmmu_widgets.recordings import recording, recordings, rerun


@pytest.mark.parametrize("name", recordings())
def test_kernel_and_model_agree(name):
    found = rerun(name)
    assert found.comparison.agrees
    assert found.comparison.recorded_events() > 50
    assert found.vm.trace.keeps_steps
    assert found.scenario.startswith("# ")


def test_lesson_03_has_its_recording():
    assert "a01_4k_touch_delete" in recordings()


def test_another_kernel_need_not_agree():
    assert not rerun("a01_4k_touch_delete", "6.1").comparison.agrees


def test_there_is_no_such_recording():
    with pytest.raises(UsageError, match="no recording 'x'; expected one of a01"):
        recording("x")
