import ipywidgets
import pytest

from kvmmu_edu import Choices, KvmError, UsageError, Vm
from kvmmu_widgets import Stepper, explore
from kvmmu_widgets.controls import same_place

MIB = 1 << 20


def touch(kernel="6.12", pages=256, gpas=1):
    vm = Vm(choices=Choices(kernel=kernel), trace="steps")
    hva = vm.host.mmap("A", "anon4k", MIB)
    vm.set_user_memory_region(0, 0, 0, pages << 12, hva)
    vcpu = vm.create_vcpu()
    for n in range(gpas):
        vcpu.write(n << 12)
    return vm


def steps_of(*lengths):
    """Return as much of a message as places need: an operation for each length."""
    ops, first = [], 1
    for length in lengths:
        ops.append({"first": first, "last": first + length - 1})
        first += length
    return {"ops": ops, "steps": [{}] * first}


def test_a_run_is_shown_at_once():
    explorer = explore(touch, pages=256)
    assert isinstance(explorer.stepper, Stepper)
    assert explorer.box.children[-1] is explorer.stepper
    assert explorer.help == ""


def test_a_control_runs_again_and_changes_the_stepper_that_is_there():
    explorer = explore(touch, gpas=range(1, 5))
    stepper = explorer.stepper
    before = stepper.last
    explorer.controls["gpas"].value = 3
    assert explorer.stepper is stepper
    assert stepper.last > before


def test_it_may_begin_at_the_end_and_stays_there():
    explorer = explore(touch, show={"step": -1}, gpas=range(1, 5))
    assert explorer.stepper.step == explorer.stepper.last
    explorer.set(gpas=3)
    assert explorer.stepper.step == explorer.stepper.last


def test_a_range_begins_with_the_default_of_the_run():
    assert explore(touch, pages=range(16, 300)).values == {"pages": 256}
    assert explore(touch, pages=range(16, 20)).values == {"pages": 16}
    assert explore(lambda pages: touch(pages=pages), pages=range(16, 300)).values == {"pages": 16}


def test_set_runs_once():
    calls = []

    def run(**values):
        calls.append(values)
        return touch(**values)

    explorer = explore(run, kernel=["6.12", "6.1"], gpas=1)
    explorer.set(kernel="6.1", gpas=2)
    assert calls == [{"kernel": "6.12", "gpas": 1}, {"kernel": "6.1", "gpas": 2}]
    explorer.set(kernel="6.1")
    assert len(calls) == 2


def test_the_place_is_kept():
    explorer = explore(touch, gpas=range(1, 5))
    explorer.set(gpas=3)
    message = explorer.stepper.message
    second = message["ops"][1]
    explorer.stepper.step = second["first"] + 1
    explorer.set(gpas=2)
    assert explorer.stepper.step == explorer.stepper.message["ops"][1]["first"] + 1


@pytest.mark.parametrize(
    ("old", "step", "new", "expected"),
    [
        (steps_of(3, 5), 0, steps_of(2, 2), 0),
        (steps_of(3, 5), 5, steps_of(6, 5), 8),  # the second of the second operation
        (steps_of(3, 5), 7, steps_of(3, 2), 5),  # that operation is shorter now
        (steps_of(3, 5), 8, steps_of(1, 1), 2),  # the last stays the last
        (steps_of(3, 5), 6, steps_of(3), 3),  # that operation is gone
        (steps_of(), 0, steps_of(4), 4),
    ],
)
def test_same_place(old, step, new, expected):
    assert same_place(old, step, new) == expected


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (UsageError("pages is 7; expected a power of two"), "pages is 7; expected a power of two"),
        (KvmError("EINVAL", "no <b>"), "EINVAL: no <b>"),
        (ZeroDivisionError("by\nzero"), "ZeroDivisionError: by zero"),
    ],
)
def test_what_goes_wrong_is_one_line_of_help(error, line):
    def run(bad):
        if bad:
            raise error
        return touch()

    explorer = explore(run, bad=False)
    shown = explorer.stepper.message
    explorer.set(bad=True)
    assert explorer.help == line
    html = explorer.box.children[1].value
    assert "\n" not in html
    assert "<b>" not in html
    assert "run before" in html
    assert explorer.stepper.message == shown
    explorer.set(bad=False)
    assert explorer.help == explorer.box.children[1].value == ""


def test_a_first_run_that_goes_wrong_shows_help_and_no_picture():
    explorer = explore(touch, pages=0)
    assert explorer.stepper is None
    assert explorer.help.startswith("EINVAL")
    assert "not run: EINVAL" in repr(explorer)
    assert set(explorer._repr_mimebundle_()) >= {"text/plain"}
    explorer.set(pages=16)
    assert explorer.stepper is not None


@pytest.mark.parametrize(
    ("control", "kind", "value"),
    [
        (True, ipywidgets.Checkbox, True),
        (7, ipywidgets.IntText, 7),
        ("96 MiB", ipywidgets.Text, "96 MiB"),
        (range(2, 9, 2), ipywidgets.IntSlider, 2),
        (["a", "b"], ipywidgets.ToggleButtons, "a"),
        (list("abcdef"), ipywidgets.Dropdown, "a"),
        ({"one page": 1, "two": 2}, ipywidgets.ToggleButtons, 1),
    ],
)
def test_kinds_of_controls(control, kind, value):
    explorer = explore(lambda it: touch(), it=control)
    assert type(explorer.controls["it"]) is kind
    assert explorer.values == {"it": value}


def test_a_widget_may_be_given():
    slider = ipywidgets.IntSlider(min=1, max=4)
    explorer = explore(touch, gpas=slider)
    slider.value = 2
    assert explorer.values == {"gpas": 2}


def test_mistakes_in_the_controls():
    with pytest.raises(UsageError, match="expected a list, a dict"):
        explore(touch, pages=3.5)
    explorer = explore(touch, kernel=["6.12", "6.1"])
    with pytest.raises(UsageError, match="no control 'pages'"):
        explorer.set(pages=1)
    with pytest.raises(UsageError, match=r"does not take '5\.4'"):
        explorer.set(kernel="5.4")


def test_text_is_stable():
    def text():
        explorer = explore(touch, show={"title": "A write"}, kernel=["6.12", "6.1"])
        return explorer._repr_mimebundle_()["text/plain"]

    assert text() == text()
    assert text().startswith("Explore kernel='6.12'. Stepper: A write, ")
