"""The line in the engine and the function in the kernel."""

import pytest

from kvmmu_edu.lib.rbtree import rb_insert_color
from kvmmu_edu.trace.events import GetMmuPage, SpteChanged, SynchronizeSrcu, TreeChanged
from kvmmu_edu.trace.recorder import Site
from kvmmu_edu.virt.memslots import Memslots
from kvmmu_edu.virt.swap import swap_active_memslots
from kvmmu_edu.x86.spte_gate import handle_changed_spte
from kvmmu_widgets.source import (
    Reference,
    choose_site,
    counterpart,
    kernel_references,
    listing,
)


def example(gfn, *, deep):
    """Do something.

    More about it.

    Kernel: kvm_example(), virt/kvm/kvm_main.c (v6.12)
    """
    found = gfn
    return found if deep else None


def bare(x):
    return x


def test_a_function_without_its_docstring():
    found = listing(example.__code__)
    assert found.head == "def example(gfn, *, deep):"
    assert found.summary == "Do something."
    assert found.lines == ("found = gfn", "return found if deep else None")
    assert found.start == example.__code__.co_firstlineno + 7
    assert found.references == (Reference("kvm_example", "virt/kvm/kvm_main.c", "v6.12"),)


def test_lines_that_are_shown():
    found = listing(example.__code__)
    assert not found.has(found.start - 1)
    assert found.has(found.start + 1)
    assert not found.has(found.start + 2)


def test_a_function_without_any_docstring():
    found = listing(bare.__code__)
    assert found.lines == ("return x",)
    assert found.start == bare.__code__.co_firstlineno + 1
    assert "kernel" not in found.as_dict()


def test_what_has_no_source_is_left_out():
    assert listing((lambda: 0).__code__) is None
    assert listing(eval("compile('x = 1', 'nowhere', 'exec')")) is None
    scope = {}
    exec(compile("def f(): pass", "nowhere", "exec"), scope)
    assert listing(scope["f"].__code__) is None


def test_a_listing_of_the_engine():
    said = listing(swap_active_memslots.__code__).as_dict()
    assert said["module"] == "kvmmu_edu/virt/swap.py"
    assert said["head"] == "async def swap_active_memslots(kvm, as_id):"
    assert said["kernel"]["function"] == "kvm_swap_active_memslots"
    assert said["kernel"]["file"] == "virt/kvm/kvm_main.c"
    assert said["kernel"]["url"].startswith("https://")
    assert "#L" in said["kernel"]["url"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("No word of it.", []),
        ("Kernel: f(), a/b.c (v6.12)", [("f", "a/b.c", "v6.12")]),
        ("Kernel: struct kvm, a/b.h (v6.1)", [("kvm", "a/b.h", "v6.1")]),
        ("Kernel: f(); g(), a/b.c (v6.12)", [("f", "a/b.c", "v6.12"), ("g", "a/b.c", "v6.12")]),
        (
            "Do.\n\nKernel: f(), a/b.c; MACRO,\n    c/d.h (v6.12)\nIn v6.1: other",
            [("f", "a/b.c", "v6.12"), ("MACRO", "c/d.h", "v6.12")],
        ),
        ("Kernel: a/b.c (v6.12)", [("", "a/b.c", "v6.12")]),
    ],
)
def test_kernel_lines(text, expected):
    assert [tuple(reference) for reference in kernel_references(text)] == expected


def test_the_namesake_is_the_counterpart():
    references = kernel_references("Kernel: __kvm_memslots(); kvm_slots(), a/b.h (v6.12)")
    assert counterpart(references, "slots").symbol == "kvm_slots"
    assert counterpart(references, "other").symbol == "__kvm_memslots"
    assert counterpart((), "other") is None


def test_the_gate_does_not_explain():
    gate = Site(handle_changed_spte.__code__, 1)
    caller = Site(example.__code__, 2)
    assert choose_site((gate, caller)) == caller


def test_a_private_helper_does_not_explain_but_is_better_than_nothing():
    helper, caller = Site(bare.__code__, 1), Site(example.__code__, 2)
    assert choose_site((helper, caller)) == caller
    assert choose_site((helper,)) == helper
    assert choose_site(()) is None


def test_only_one_gate_is_passed_for_trees():
    tell = next(
        code for code in Memslots._observer.__code__.co_consts if hasattr(code, "co_qualname")
    )
    assert choose_site((Site(tell, 1), Site(rb_insert_color.__code__, 2))).line == 2


def chosen(vm, kind):
    sites = [choose_site(r.sites) for r in vm.trace.records if isinstance(r.event, kind)]
    return {site.code.co_name for site in sites}


def test_real_events_are_explained_by_the_functions_that_cause_them(dirty_log_vm, slots_vm):
    changed = chosen(dirty_log_vm, SpteChanged)
    assert {"tdp_mmu_link_sp", "tdp_mmu_map_handle_target_level", "handle_removed_pt"} <= changed
    assert not changed & {"handle_changed_spte", "change_quietly", "tdp_mmu_set_spte_atomic"}
    assert chosen(dirty_log_vm, GetMmuPage) <= {"tdp_mmu_alloc_root", "tdp_mmu_init_child_sp"}
    assert chosen(slots_vm, SynchronizeSrcu) == {"swap_active_memslots"}
    assert {"rb_insert_color", "rb_erase"} <= chosen(slots_vm, TreeChanged)


def test_the_line_is_in_the_listing(dirty_log_vm):
    for record in dirty_log_vm.trace.records:
        site = choose_site(record.sites)
        if site is not None:
            assert listing(site.code).has(site.line)
