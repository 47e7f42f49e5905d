"""Guest programs are values."""

from kvmmu_edu.x86.guest import Access, Exit, Guest, Instruction, touch


def test_touch():
    assert touch("write", 0x1000, 7, 4) == Instruction(None, (Access("write", 0x1000, 4, 7),))


def test_defaults():
    assert Guest() == Guest("none", 0)
    assert Exit("MMIO", 0x1000, 8) == Exit("MMIO", 0x1000, 8, is_write=False)
