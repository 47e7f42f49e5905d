"""What the generic half asks for is what x86 offers."""

import inspect

import pytest

from kvmmu_edu.virt.arch import Arch, GfnRange
from kvmmu_edu.virt.memory_slot import MemorySlot
from tests.virt.bench import FakeArch

METHODS = [name for name, _ in inspect.getmembers(Arch, inspect.isfunction) if name[0] != "_"]


@pytest.mark.parametrize("name", METHODS)
def test_the_fake_of_these_tests_is_faithful(name):
    asked, offered = getattr(Arch, name), getattr(FakeArch, name)
    assert inspect.iscoroutinefunction(asked) == inspect.iscoroutinefunction(offered)
    assert list(inspect.signature(asked).parameters) == list(inspect.signature(offered).parameters)


def test_ranges_may_block_unless_told_otherwise():
    assert GfnRange(MemorySlot(1), 0, 1).may_block
