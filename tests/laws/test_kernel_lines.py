"""The reading of docstrings itself."""

import pytest

from tests.laws.kernel_lines import is_kernels, is_ours, references, sections, unknown

TABLE = {"a/b.c": {"", "f", "RET_PF_RETRY", "walk_addr"}}


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("Kernel: a/b.c (v6.12)", [("", "a/b.c")]),
        ("Kernel: a/b.c, c/d.h (v6.12)", [("", "a/b.c"), ("", "c/d.h")]),
        ("Kernel: f(), a/b.c (v6.12)", [("f", "a/b.c")]),
        (
            "Kernel: struct s, a/b.c; g(), h(), c/d.c (v6.12)",
            [("s", "a/b.c"), ("g", "c/d.c"), ("h", "c/d.c")],
        ),
        ("Kernel: f(); g(), a/b.c (v6.12)", [("f", "a/b.c"), ("g", "a/b.c")]),
        ("Kernel: FNAME(walk_addr)(), a/b.c (v6.12)", [("walk_addr", "a/b.c")]),
        ("Kernel: f(), a/b.c", None),
        ("Kernel: f() (v6.12)", None),
        ("Kernel: f(), a/b.c (v6.12) and more", None),
    ],
)
def test_references(line, found):
    assert references(line) == found


@pytest.mark.parametrize(
    ("reference", "good"),
    [
        (("f", "a/b.c"), True),
        (("", "a/b.c"), True),
        (("RET_PF_*", "a/b.c"), True),
        (("RET_QF_*", "a/b.c"), False),
        (("g", "a/b.c"), False),
        (("f", "a/c.c"), False),
    ],
)
def test_unknown(reference, good):
    assert (unknown(reference, TABLE) is None) == good


def test_sections_end_at_a_blank_line_or_at_the_next_section():
    doc = "Do it.\n\n:param x: one\n    two\nLocks: l\nKernel: f(), a/b.c (v6.12)\n\nMore."
    assert list(sections(doc)) == [
        (":param", ":param x: one two"),
        ("Locks:", "Locks: l"),
        ("Kernel:", "Kernel: f(), a/b.c (v6.12)"),
    ]


def test_who_claims_what():
    assert is_ours("Count.\n\nOurs.")
    assert is_ours("Ours: the kernel has CPUs for this.")
    assert not is_ours("Yours and hours.")
    assert is_kernels("Do.\n\nKernel: f(), a/b.c (v6.12)")
    assert is_kernels("Do.\n\nIn v6.1: g() did it.")
    assert not is_kernels("Do what the Kernel: does.")
