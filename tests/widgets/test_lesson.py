import json

import pytest

from kvmmu_widgets import check, hint, predict
from kvmmu_widgets.lesson import Prediction

SECRET = 918_273
VIEW = "application/vnd.jupyter.widget-view+json"


def test_until_the_learner_commits_there_is_a_question_mark():
    prediction = predict("How many pages?", answer=SECRET, unit="pages")
    assert repr(prediction) == "Predict: How many pages? [a number of pages] Your prediction: ?"
    assert prediction.verdict == {}


def test_the_engine_is_asked_only_when_the_learner_has_committed():
    asked = []

    def answer():
        asked.append(1)
        return 4

    prediction = predict("How many tables?", answer=answer)
    assert not asked
    assert prediction.commit(4)
    assert asked


@pytest.mark.parametrize("answer", [SECRET, lambda: SECRET])
def test_the_answer_is_not_sent_before_it_is_asked_for(answer):
    prediction = predict("How many?", answer=answer, why={3: "three is the number of levels"})
    prediction.commit(3)
    sent = json.dumps(prediction.get_state(), default=str)
    assert "918273" not in sent
    assert prediction.reveal() == "918273"
    assert prediction.verdict == {"state": "shown", "text": "918273"}


@pytest.mark.parametrize("text", ["512", "0x200", " 512 ", "5_12"])
def test_numbers_may_be_written_as_people_write_them(text):
    assert predict("?", answer=512).commit(text)


def test_what_is_no_number_is_no_answer_yet():
    verdict = predict("?", answer=512).commit("many")
    assert verdict.state == "still missing"
    assert "expected a number" in verdict.text


def test_choices_keep_their_values():
    prediction = predict("Who flushes?", [True, False], answer=lambda: False)
    assert prediction.choices == ["True", "False"]
    assert prediction.commit(False)
    assert not prediction.commit("True")
    assert prediction.commit("perhaps").text == "expected one of True, False"


def test_a_wrong_prediction_gets_its_reason():
    why = {"no": "the table is visible as soon as it is linked"}
    prediction = predict("Is a flush needed?", ["yes", "no"], answer="yes", why=why)
    assert "as soon as it is linked" in prediction.commit("no").text
    assert "Your prediction: no (keep working:" in repr(prediction)


def test_the_page_asks_by_messages():
    prediction = predict("How many?", answer=SECRET)
    prediction._handle_custom_msg({"do": "commit", "value": "5"}, [])
    assert prediction.given == "5"
    assert prediction.verdict["state"] == "keep working"
    prediction._handle_custom_msg({"do": "reveal"}, [])
    assert prediction.verdict["text"] == str(SECRET)


@pytest.mark.parametrize("content", [{}, {"do": "commit"}, {"do": "commit", "value": 5}, {"do": 1}])
def test_other_messages_do_nothing(content):
    prediction = predict("How many?", answer=SECRET)
    prediction._handle_custom_msg(content, [])
    assert prediction.verdict == {}


def test_shown_without_front_end_stable_and_escaped():
    def bundle():
        return predict("Is `a<b`?", ["<i>yes</i>", "no"], answer="no")._repr_mimebundle_()[0]

    data = bundle()
    assert VIEW in data
    assert {**bundle(), VIEW: None} == {**data, VIEW: None}
    assert "<code>a&lt;b</code>" in data["text/html"]
    assert "&lt;i&gt;yes" in data["text/html"]
    assert "<i>" not in data["text/html"]


def test_predict_makes_a_widget_with_a_stable_id():
    assert isinstance(predict("?", answer=1), Prediction)
    assert len(predict("?", answer=1).model_id) == 32


def test_check_has_four_states():
    states = [check(answer, 512).state for answer in (..., 100, 511, 512)]
    assert states == ["still missing", "keep working", "almost", "correct"]


def test_hints_are_folded_one_in_the_other():
    hints = hint("look at `spte`", "count <them>")
    data = hints._repr_mimebundle_()
    assert "spte" not in data["text/plain"]
    html = data["text/html"]
    assert html.count("<details>") == 2
    assert " open" not in html
    assert html.index("look at <code>spte</code>") < html.index("count &lt;them&gt;")
    assert html.endswith("</details></div></details>")
