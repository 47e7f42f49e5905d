import json

import pytest

from kvmmu_edu import Choices, UsageError, Vm
from kvmmu_widgets import Stepper, picture
from kvmmu_widgets.stepper import message_of
from tests.browser.messages import split_message

VIEW = "application/vnd.jupyter.widget-view+json"
MIB = 1 << 20


def small_vm(**options):
    vm = Vm(trace="steps", **options)
    hva = vm.host.mmap("A", "anon4k", MIB)
    vm.set_user_memory_region(0, 0, 0, MIB, hva)
    vm.create_vcpu().write(0x3000)
    return vm


def test_it_takes_a_vm_or_records_or_a_message():
    vm = small_vm()
    message = message_of(vm)
    assert message_of(vm.trace.records) == message
    assert message_of(message) == message
    assert Stepper(vm).message == message


def test_a_vm_brings_its_kernel_along(monkeypatch):
    given = []
    monkeypatch.setattr(
        "kvmmu_widgets.stepper.build_message", lambda _, **options: given.append(options) or {}
    )
    message_of(small_vm(choices=Choices(kernel="6.1")), title="a write")
    assert given == [{"choices": Choices(kernel="6.1"), "title": "a write"}]


def test_a_picture_needs_no_widget():
    still = picture(small_vm(), -1)
    assert still == Stepper(small_vm()).svg(-1)
    assert picture(small_vm(), 0) != still
    with pytest.raises(UsageError, match="no step 99"):
        picture(small_vm(), 99)


def test_a_picture_of_how_things_stand_says_and_marks_nothing():
    vm = small_vm()
    still = picture(vm)
    assert 'class="said"' not in still
    assert "changed" not in still.partition("</style>")[2]
    assert "<title>How things stand</title>" in still
    assert still == picture(vm.trace.records, choices=vm.kvm.choices)
    assert 'class="said"' not in picture(message_of(vm))
    with pytest.raises(UsageError, match='trace="steps"'):
        picture(Vm())


def test_a_stepper_may_begin_at_the_end():
    assert Stepper(small_vm(), step=-1).step == Stepper(small_vm()).last


def test_options_reach_the_message():
    assert Stepper(small_vm(), title="A write").message["title"] == "A write"
    with pytest.raises(UsageError, match="view"):
        Stepper(small_vm(), view="nothing")


def test_a_vm_that_kept_nothing_is_a_mistake_of_the_user():
    with pytest.raises(UsageError, match='trace="steps"'):
        Stepper(Vm())


def test_text_is_stable_and_the_view_is_there():
    stepper = Stepper(split_message())
    data, _ = stepper._repr_mimebundle_()
    assert data["text/plain"] == repr(stepper) == "Stepper: Eager page splitting, 8 steps"
    assert data[VIEW]["model_id"] == stepper.model_id
    again, _ = Stepper(split_message())._repr_mimebundle_()
    assert {**again, VIEW: None} == {**data, VIEW: None}


def test_where_no_widget_can_be_shown_there_is_a_picture_of_the_last_step():
    data, _ = Stepper(split_message(), step=2)._repr_mimebundle_()
    assert data["image/svg+xml"].startswith("<svg")
    assert "its place taken by one entry" in data["image/svg+xml"]


def test_stills_and_tables():
    stepper = Stepper(split_message(), step=5)
    assert stepper.svg() == stepper.svg(5) != stepper.svg(0)
    assert stepper.svg(5)._repr_svg_().startswith("<svg")
    assert len(repr(stepper.svg())) < 80
    assert repr(stepper.table()) == str(stepper.table())
    assert "All 512 entries are write-protected." in stepper.table()
    with pytest.raises(UsageError, match="no step 9"):
        stepper.svg(9)


def test_export(tmp_path):
    stepper = Stepper(split_message(), step=5)
    path = stepper.export_html(tmp_path / "run.html")
    assert path.read_text(encoding="utf-8") == stepper.to_html()
    assert "{ step: 2 }" in stepper.to_html(2)


def test_what_a_notebook_stores_of_it_is_its_message_and_the_painter():
    state = Stepper(split_message()).get_state()
    own = {name for name in state if not name.startswith("_")}
    assert {"message", "step"} <= own
    assert own - {"message", "step"} <= {"layout", "tabbable", "tooltip"}


def test_the_message_is_stored_as_one_line():
    stored = Stepper(split_message()).get_state()["message"]
    assert "\n" not in stored
    assert json.loads(stored) == split_message()


def test_steps_are_counted_in_words():
    message = split_message()
    message["steps"] = message["steps"][:2]
    assert repr(Stepper(message)).endswith(", 1 step")
