import inspect

import pytest

from kvmmu_edu.trace import events

KINDS = [kind for _, kind in inspect.getmembers(events, inspect.isclass) if issubclass(kind, tuple)]


def test_the_package_shows_every_event_of_its_modules():
    modules = [module for _, module in inspect.getmembers(events, inspect.ismodule)]
    defined = [
        kind
        for module in modules
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, tuple) and kind.__module__ == module.__name__
    ]
    assert len(defined) > 40
    assert set(defined) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_an_event_owns_its_values_and_does_not_change(kind):
    values = tuple(range(len(kind._fields)))
    event = kind(*values)
    assert tuple(event) == values
    with pytest.raises(AttributeError):
        setattr(event, kind._fields[0], "other")


@pytest.mark.parametrize("kind", KINDS)
def test_an_event_has_no_values_left_to_guess(kind):
    # emit() passes values by position; a default would hide one that was forgotten
    assert kind._field_defaults == {}


@pytest.mark.parametrize("cause", list(events.Cause))
def test_a_cause_completes_a_sentence(cause):
    assert cause.value
    assert cause.value[0].islower() or cause.value.startswith("the CPU")
    assert not cause.value.endswith(".")


def test_causes_can_be_told_apart():
    assert len({cause.value for cause in events.Cause}) == len(events.Cause)
