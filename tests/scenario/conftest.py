"""Running a few lines, for the tests of the rooms that carry operations out."""

import pytest

from kvmmu_edu.scenario.language import parse_scenario
from kvmmu_edu.scenario.meta import Machine, machine_of
from kvmmu_edu.scenario.runner import run_scenario


@pytest.fixture
def run():
    """Return a function that runs the text of a scenario with all checks."""

    def run_text(text, kernel="6.12"):
        scenario = parse_scenario(text, path="test.scn")
        return run_scenario(scenario, machine_of(scenario.directives, None, kernel))

    return run_text


@pytest.fixture
def results(run):
    """Return a function that gives the results of a scenario, by their operation's text."""

    def results_of(text, kernel="6.12"):
        found = run(text, kernel).results
        return {result["op"]: result for result in found if "op" in result}

    return results_of


@pytest.fixture
def machine():
    return Machine()
