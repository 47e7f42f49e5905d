"""The walk visits what is there, in pre-order, whatever the grain."""

import numpy as np
import pytest

from kvmmu_edu.x86.tdp_iter import Span, for_each_tdp_pte, for_each_tdp_pte_min_level
from tests.x86.conftest import GPA


def visited(machine, min_level=1, start=0, end=1 << 28, grain=1):
    seen = []
    root = machine.vcpu.state.arch.root
    for it in for_each_tdp_pte_min_level(machine.mmu, root, min_level, start, end, grain=grain):
        step = 1 << (9 * (it.level - 1))
        values = np.ravel(it.old_spte).tolist()
        seen += [
            (it.level, it.gfn + i * step, value)
            for i, value in enumerate(values)
            if value != machine.mmu.arena.nonpresent
        ]
    return seen


@pytest.fixture
def sparse(machine):
    made = machine(nbytes=16 << 20)
    for page in (0, 1, 5, 511, 512, 1500, 1501, 4000, 4095):
        made.vcpu.write(GPA + page * 4096)
    return made


def test_pre_order(sparse):
    levels_and_gfns = [(level, gfn) for level, gfn, _ in visited(sparse)]
    assert levels_and_gfns[:5] == [(4, 0), (3, 0), (2, 0x400), (1, 0x400), (1, 0x401)]
    assert [gfn for level, gfn in levels_and_gfns if level == 1] == [
        0x400 + page for page in (0, 1, 5, 511, 512, 1500, 1501, 4000, 4095)
    ]


def test_a_range_is_half_open(sparse):
    gfns = [gfn for level, gfn, _ in visited(sparse, start=0x401, end=0x400 + 512) if level == 1]
    assert gfns == [0x401, 0x405, 0x400 + 511]


@pytest.mark.parametrize("grain", [2, 64, 512, 513, 1024, 4096])
@pytest.mark.parametrize(("start", "end"), [(0, 1 << 28), (0x401, 0x400 + 1501), (0x5FF, 0x13A1)])
def test_leaves_do_not_depend_on_the_grain(sparse, grain, start, end):
    one = [entry for entry in visited(sparse, start=start, end=end) if entry[0] == 1]
    many = [entry for entry in visited(sparse, start=start, end=end, grain=grain) if entry[0] == 1]
    assert many == one


@pytest.mark.parametrize("grain", [1, 512, 4096])
def test_the_lowest_level_is_respected(sparse, grain):
    seen = visited(sparse, min_level=2, grain=grain)
    # a walk over many tables at once does not stop at the entries that lead to them
    assert {level for level, _, _ in seen} == ({2, 4} if grain > 512 else {2, 3, 4})
    lowest = [entry for entry in seen if entry[0] == 2]
    assert lowest == [entry for entry in visited(sparse, min_level=2) if entry[0] == 2]


def test_wide_spans_are_rectangles(machine):
    made = machine(nbytes=16 << 20)
    for page in range(4096):
        made.vcpu.read(GPA + page * 4096)
    root = made.vcpu.state.arch.root
    shapes = [
        np.shape(it.old_spte)
        for it in for_each_tdp_pte_min_level(made.mmu, root, 1, 0, 1 << 28, grain=4096)
        if it.level == 1
    ]
    assert shapes == [(8, 512)]


def test_giving_way_restarts_at_the_root(sparse):
    root = sparse.vcpu.state.arch.root
    gfns, yielded = [], False
    for it in for_each_tdp_pte_min_level(sparse.mmu, root, 1, 0, 1 << 28, grain=1):
        if it.level == 1 and it.gfn == 0x405 and not yielded:
            it.yielded = yielded = True
            continue
        gfns.append((it.level, it.gfn))
    assert gfns.count((4, 0)) == 2
    assert [gfn for level, gfn in gfns if level == 1].count(0x405) == 1


def test_towards_one_frame(sparse):
    path = [
        (it.level, it.index)
        for it in for_each_tdp_pte(sparse.mmu, sparse.vcpu.state.arch.root, 0x401)
    ]
    assert path == [(4, 0), (3, 0), (2, 2), (1, 1)]


def test_a_hole_ends_the_path(sparse):
    *_, last = for_each_tdp_pte(sparse.mmu, sparse.vcpu.state.arch.root, 1 << 20)
    assert last.level == 3
    assert last.child == 0


def test_a_span_is_a_value():
    assert Span(1, 2, 3, 1, 0) == Span(1, 2, 3, 1, 0)
