import pytest

from kvmmu_edu import UsageError
from kvmmu_widgets.grid import Grid, Link


def test_numbers_stand_to_the_right_and_large_ones_have_separators():
    grid = Grid(("what", "n"), [("a", 7), ("b", 262144)])
    assert repr(grid).splitlines() == [
        "what        n",
        "----  -------",
        "a           7",
        "b     262,144",
    ]


def test_a_column_is_a_list_of_values():
    assert Grid(("a", "b"), [(1, 2), (3, 4)])["b"] == [2, 4]
    with pytest.raises(UsageError, match="no column 'c'; expected one of 'a', 'b'"):
        Grid(("a", "b"), [])["c"]


def test_a_row_that_does_not_fit():
    with pytest.raises(UsageError, match="has 1 values; expected 2"):
        Grid(("a", "b"), [(1,)])


def test_rows_are_counted():
    assert len(Grid(("a",), [(1,), (2,)])) == 2


def test_html_is_escaped():
    html = Grid(("<a>",), [("<b> & `c<d`",)], "<caption>").html()
    assert "<a>" not in html
    assert "&lt;b&gt; &amp; <code>c&lt;d</code>" in html
    assert "&lt;caption&gt;" in html


def test_truth_is_said_in_words_and_backticks_are_for_the_eye():
    grid = Grid(("name", "is"), [("`x`", True), ("`y`", False)])
    assert repr(grid).splitlines()[2:] == ["x     yes", "y     no"]
    assert "<code>x</code>" in grid.html()


def test_links_lead_somewhere():
    grid = Grid(("where",), [(Link("`f`", "https://example.org/?a&b"),)])
    assert '<a href="https://example.org/?a&amp;b"><code>f</code></a>' in grid.html()
    assert repr(grid).endswith("f")


def test_a_notebook_gets_text_and_html():
    grid = Grid(("a",), [(1,)], "One")
    assert grid._repr_mimebundle_() == {"text/plain": repr(grid), "text/html": grid.html()}
    assert repr(grid).startswith("One\n")
