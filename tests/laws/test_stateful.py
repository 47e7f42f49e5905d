"""Random work on a VM does what a plain model says; see random_work.py and plain_model.py.

In the profile "same" 200 programs of 50 rules are run, more than 10,000 lines in all, always the
same ones; in "nightly" 2000 of 100, more than 200,000, and new ones each time
(pytest --hypothesis-profile=nightly tests/laws/test_stateful.py).
"""

from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.laws.random_work import Work

PROGRAMS, RULES = 200, 50
NIGHTLY_PROGRAMS, NIGHTLY_RULES = 2000, 100


def test_random_work():
    nightly = settings.get_current_profile_name() == "nightly"
    programs, rules = (NIGHTLY_PROGRAMS, NIGHTLY_RULES) if nightly else (PROGRAMS, RULES)
    before = Work.lines_run
    run_state_machine_as_test(
        Work, settings=settings(max_examples=programs, stateful_step_count=rules)
    )
    assert Work.lines_run - before >= programs * rules
