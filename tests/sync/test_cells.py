import pytest

from kvmmu_edu.sync.cells import Counter, Shared

READS = ("read_once", "load_acquire", "rcu_dereference")
WRITES = ("write_once", "store_release", "rcu_assign_pointer")


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("write", WRITES)
def test_what_was_written_last_is_read(read, write):
    cell = Shared("mmu_invalidate_seq", 1)
    assert getattr(cell, read)() == 1
    getattr(cell, write)(2)
    assert getattr(cell, read)() == 2


def test_xchg_returns_what_was_there():
    cell = Shared("mode", 0)
    assert cell.xchg(1) == 0
    assert cell.xchg(2) == 1
    assert cell.read_once() == 2


def test_cmpxchg_writes_only_what_it_expected_to_replace():
    cell = Shared("mode", 0)
    assert cell.cmpxchg(0, 1) == 0
    assert cell.read_once() == 1
    assert cell.cmpxchg(0, 2) == 1
    assert cell.read_once() == 1


def test_two_increments_without_cmpxchg_lose_one():
    cell = Shared("users", 0)
    first, second = cell.read_once(), cell.read_once()
    cell.write_once(first + 1)
    cell.write_once(second + 1)
    assert cell.read_once() == 1

    counter = Counter("users", 0)
    assert [counter.add_return(1), counter.add_return(1)] == [1, 2]


def test_a_counter_goes_down_as_well():
    assert Counter("users", 3).add_return(-3) == 0


def test_a_cell_shows_its_name_and_value():
    assert repr(Shared("mode", 2)) == "Shared('mode', 2)"
