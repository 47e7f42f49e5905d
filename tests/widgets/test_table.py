"""A run as text."""

import re

from kvmmu_widgets.table import table

MESSAGE = {
    "title": "A run",
    "counters": ["vm.pages_4k", "lock.mmu_lock.read"],
    "steps": [
        {"text": "Nothing has happened yet."},
        {
            "text": "The 4K entry at gfn 0x1 now maps pfn 0x2, RWX.",
            "short": "0x1: empty → 4K",
            "task": "vcpu0",
            "counters": {"0": [0, 1], "1": [4, 3]},
            "checks": {"leaves equal pages": False, "sets equal": True},
        },
    ],
}


def test_a_row_for_each_step():
    rule = "----  -----  " + "-" * 46 + "  " + "-" * 57
    moved = "pages_4k +1, mmu_lock.read -1, broken: leaves equal pages"
    assert table(MESSAGE).split("\n") == [
        "A run",
        f"step  task   {'what happens':46}  what moved",
        rule,
        "   0         Nothing has happened yet.",
        f"   1  vcpu0  The 4K entry at gfn 0x1 now maps pfn 0x2, RWX.  {moved}",
    ]


def test_a_few_words_for_each_step():
    assert "0x1: empty → 4K" in table(MESSAGE, full=False)
    assert "now maps" not in table(MESSAGE, full=False)


def test_no_coordinates_and_no_addresses_of_objects(tables_message):
    text = table(tables_message)
    assert len(text.split("\n")) == len(tables_message["steps"]) + 3
    assert not re.search(r"object at|\d\.\d", text)
