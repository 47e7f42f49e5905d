"""Was a page used?  The listeners are asked for each mapping."""

from kvmmu_edu.units import MIB
from tests.host.bench import K4, M2


def test_each_mapped_page_is_asked_for(process):
    a = process.mmap("A", "anon4k", M2)
    process.write(a + K4, 1)
    process.write(a + 3 * K4, 1)
    process.listener.young = {a + 3 * K4}
    assert process.age(a, 4 * K4) == 1
    assert process.listener.asked == [
        ("flush", a + K4, a + 2 * K4),
        ("flush", a + 3 * K4, a + 4 * K4),
    ]
    assert process.age(a, 4 * K4) == 0


def test_a_huge_page_is_asked_for_once(process):
    b = process.mmap("B", "thp", 4 * MIB)
    process.fill(b, 4 * MIB, M2)
    process.listener.young = {b + K4, b + M2}
    assert process.age(b, 4 * MIB, flush=False) == 2
    assert process.listener.asked == [("clear", b, b + M2), ("clear", b + M2, b + 2 * M2)]


def test_without_listeners_nothing_was_used(process):
    a = process.mmap("A", "anon4k", M2)
    process.write(a, 1)
    process.mm.notifiers.clear()
    assert process.age(a, M2) == 0
