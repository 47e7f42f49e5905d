import json
import re

from kvmmu_widgets.page import stepper_page
from tests.browser.messages import hostile_message, split_message


def embedded(page):
    return re.search(r'<script type="application/json" id="message">(.*?)</script>', page)[1]


def test_the_message_is_in_the_page():
    message = split_message()
    assert json.loads(embedded(stepper_page(message))) == message


def test_nothing_is_asked_for_from_outside():
    page = stepper_page(split_message())
    assert "default-src 'none'" in page
    assert not re.search(r"<(link|img|iframe|script src|base)\b", page)


def test_the_steps_can_be_read_without_scripts():
    page = stepper_page(split_message())
    inside = re.search(r"<noscript>(.*)</noscript>", page, re.DOTALL)[1]
    assert inside.count("<li>") == 9
    assert "All 512 entries are write-protected." in inside


def test_a_text_of_markup_ends_nothing():
    page = stepper_page(hostile_message("</script><b>x</b><!--"))
    assert "<b>x" not in page
    assert page.count("</script>") == 2
    message = json.loads(embedded(page))
    assert message["title"] == "</script><b>x</b><!--"


def test_the_page_starts_at_the_step_that_it_is_given():
    assert "{ step: 5 }" in stepper_page(split_message(), 5)


def test_the_same_run_gives_the_same_page():
    assert stepper_page(split_message()) == stepper_page(split_message())
