import pytest

from kvmmu_edu.compare.measures import by_task, changes, outcome

NOTHING = {"rc": 0, "errno": None, "exits": [], "dirty": None, "values": {}, "rmaps": None}


def test_an_outcome_is_what_the_kernel_answered():
    result = {
        "n": 1, "op": "x", "rc": -1, "errno": "ENOENT", "dirty": [], "us": 7, "hva": "0x1",
        "exits": [{"exit": "MMIO", "gpa": "0x1"}, {"exit": "IO"}], "left": "0x0", "rmaps": " a\n",
    }  # fmt: skip
    assert outcome(result) == {
        "rc": -1,
        "errno": "ENOENT",
        "exits": [{"exit": "MMIO", "gpa": "0x1"}],
        "dirty": [],
        "values": {"left": "0x0"},
        "rmaps": "a",
    }


def test_fields_that_are_missing_or_empty_are_alike():
    assert outcome({"rc": 0}) == NOTHING
    assert outcome({"rc": 0, "exits": None, "rmaps": "  ", "errno": None}) == NOTHING


def test_no_dirty_bits_are_something_else_than_no_bitmap():
    assert outcome({"rc": 0, "dirty": []}) != NOTHING


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("vm.pages_4k", True),
        ("vm.remote_tlb_flush", True),
        ("vm.remote_tlb_flush_requests", True),
        ("v0.pf_taken", True),
        ("v12.mmio_exits", True),
        ("v0.tlb_flush", False),
        ("v0.req_event", False),
        ("vm.max_mmu_page_hash_collisions", False),
        ("v0.pf_guest", False),
        ("xvm.pages_4k", False),
    ],
)
def test_statistics_of_the_memory_half_count(name, counts):
    found = changes({"op": "read 0x1000", "stats": {name: [3, 5]}})
    assert found == ({name: 2} if counts else {})


def test_what_did_not_change_does_not_count():
    assert changes({"op": "x", "stats": {"vm.pages_4k": [3, 3], "vm.pages_2m": 7}}) == {}
    assert changes({"op": "x"}) == {}


def test_absolute_statistics_do_not_count():
    assert changes({"op": "stats", "stats": {"vm.pages_4k": [3, 5]}}) == {}
    assert changes({"op": "stats  # now", "stats": {"vm.pages_4k": [3, 5]}}) == {}


def test_order_counts_within_a_task_only():
    a, b = ("vcpu0", "x"), ("vcpu0", "y")
    other = ("kvmtrace", "z")
    assert (
        by_task([a, other, b])
        == by_task([other, a, b])
        == {
            "vcpu0": ("x", "y"),
            "kvmtrace": ("z",),
        }
    )
    assert by_task([a, b]) != by_task([b, a])
