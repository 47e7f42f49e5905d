"""What the MMU keeps for a VM."""

from kvmmu_edu.x86.mmu_state import X86_QUIRK_SLOT_ZAP_ALL, mmu_of


def test_limits_follow_the_machine(machine):
    made = machine()
    assert mmu_of(made.kvm) is made.mmu
    assert made.mmu.max_gfn == (1 << 28) - 1


def test_quirks_are_on_until_disabled(machine):
    made = machine()
    assert made.mmu.check_has_quirk(X86_QUIRK_SLOT_ZAP_ALL)
    made.mmu.disabled_quirks |= X86_QUIRK_SLOT_ZAP_ALL
    assert not made.mmu.check_has_quirk(X86_QUIRK_SLOT_ZAP_ALL)
