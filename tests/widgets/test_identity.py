import subprocess
import sys

from kvmmu_widgets.identity import identity, stable_id


def in_a_new_kernel(*shown):
    code = "from kvmmu_widgets.identity import stable_id\n"
    code += "\n".join(f"print(stable_id('stepper', {text!r}))" for text in shown)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_the_same_program_gives_the_same_ids():
    assert in_a_new_kernel("a", "b") == in_a_new_kernel("a", "b")


def test_the_same_thing_shown_twice_has_two_ids_also_the_next_time():
    first = in_a_new_kernel("a", "a")
    assert len(set(first)) == 2
    assert in_a_new_kernel("a", "a") == first


def test_order_of_other_widgets_does_not_matter():
    assert in_a_new_kernel("a", "b")[0] == in_a_new_kernel("b", "a")[1]


def test_kind_and_content_matter():
    assert stable_id("stepper", {"x": 1}) != stable_id("prediction", {"x": 1})
    assert stable_id("stepper", {"x": 2}) != stable_id("stepper", {"x": 3})


def test_an_id_looks_like_one_of_ipywidgets():
    model_id = stable_id("stepper", "text")
    assert len(model_id) == 32
    assert int(model_id, 16)


def test_the_layout_inside_has_an_id_too():
    given = identity("stepper", "text of this test")
    assert given["layout"].model_id != given["model_id"]
    assert len(given["layout"].model_id) == 32


def test_widgets_of_others_get_stable_ids_for_all_their_parts():
    code = (
        "from kvmmu_widgets import explore, runs\n"
        "e = explore(runs.change, what=['delete', 'move'], count=range(2, 5), order='rising')\n"
        "found = [e.box, *e.box.children, *e.controls.values()]\n"
        "parts = [p for w in found for p in (w, w.layout, getattr(w, 'style', w))]\n"
        "print(*[part.model_id for part in parts])"
    )
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        for _ in (1, 2)
    ]
    assert runs[0].stdout == runs[1].stdout
    assert len(runs[0].stdout.split()) > 15
