"""Operations on memory slots: one ioctl in four forms.

The driver remembers what the last successful call said of a slot, and repeats the fields that
an operation does not name; of a slot that it does not know it repeats zeros.

Ours.
"""

from dataclasses import replace

from kvmmu_edu.scenario.driver import Driver, Outcome, Region, attempt, performs
from kvmmu_edu.scenario.operations import Delete, Flags, Move, Slot


def _set_region(driver: Driver, slot: int, region: Region) -> Outcome:
    outcome = attempt(
        lambda: driver.vm.set_user_memory_region(
            slot, region.flags, region.gpa, region.size, region.hva
        )
    )
    if outcome["rc"] == 0:
        driver.regions[slot] = region
    return outcome


def _known(driver: Driver, slot: int) -> Region:
    return driver.regions.get(slot, Region())


@performs(Slot)
def perform_slot(driver: Driver, operation: Slot, _vcpu: int) -> Outcome:
    """Create a slot, or change what can be changed."""
    hva = driver.hva(operation.hva)
    region = Region(operation.gpa, operation.size, operation.flags, hva)
    return _set_region(driver, operation.slot, region)


@performs(Delete)
def perform_delete(driver: Driver, operation: Delete, _vcpu: int) -> Outcome:
    """Delete a slot."""
    region = replace(_known(driver, operation.slot), size=0)
    return _set_region(driver, operation.slot, region)


@performs(Move)
def perform_move(driver: Driver, operation: Move, _vcpu: int) -> Outcome:
    """Move a slot."""
    region = replace(_known(driver, operation.slot), gpa=operation.gpa)
    return _set_region(driver, operation.slot, region)


@performs(Flags)
def perform_flags(driver: Driver, operation: Flags, _vcpu: int) -> Outcome:
    """Change the flags of a slot."""
    region = replace(_known(driver, operation.slot), flags=operation.flags)
    return _set_region(driver, operation.slot, region)
