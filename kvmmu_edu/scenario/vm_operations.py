"""Operations on the VM and the kernel module, and those that only look.

Ours.
"""

from kvmmu_edu.errors import KvmError
from kvmmu_edu.scenario.driver import Driver, Outcome, attempt, performs
from kvmmu_edu.scenario.operations import (
    Cap,
    CheckCap,
    GuestPte,
    MapInGuest,
    MaxMmu,
    Param,
    Rmaps,
    Sleep,
    Stats,
)
from kvmmu_edu.scenario.payload import PAGE_LEVELS
from kvmmu_edu.x86.module_params import param_attr_show, param_attr_store


@performs(Param)
def perform_param(driver: Driver, operation: Param, _vcpu: int) -> Outcome:
    """Write a module parameter if there is a value, then read it."""
    kvm, name = driver.vm.kvm, operation.name
    outcome: Outcome = {"rc": 0}
    if operation.value:
        # not by the facade, which lets a worker that this wakes run before the operation ends
        store = param_attr_store(kvm, name, operation.value)
        outcome = attempt(lambda: driver.vm.run(store))
    try:
        value = param_attr_show(kvm, name) + "\n"
    except KvmError:
        value = "cannot open"
    return outcome | {"value": value}


@performs(Cap)
def perform_cap(driver: Driver, operation: Cap, _vcpu: int) -> Outcome:
    """Switch a capability on."""
    return attempt(lambda: driver.vm.enable_cap(operation.cap, *operation.args))


@performs(CheckCap)
def perform_check_cap(driver: Driver, operation: CheckCap, _vcpu: int) -> Outcome:
    """Ask for a capability; the return code is the answer."""
    return attempt(lambda: driver.vm.check_extension(operation.cap))


@performs(MaxMmu)
def perform_max_mmu(driver: Driver, operation: MaxMmu, _vcpu: int) -> Outcome:
    """Limit the number of shadow pages."""
    return attempt(lambda: driver.vm.set_nr_mmu_pages(operation.npages))


@performs(Rmaps)
def perform_rmaps(driver: Driver, _operation: Rmaps, _vcpu: int) -> Outcome:
    """Show how long the rmap chains are."""
    return {"rc": 0, "rmaps": driver.vm.rmaps_stat()}


@performs(Stats)
def perform_stats(_driver: Driver, _operation: Stats, _vcpu: int) -> Outcome:
    """Do nothing: the runner reads the statistics after every operation."""
    return {"rc": 0}


@performs(Sleep)
def perform_sleep(driver: Driver, operation: Sleep, _vcpu: int) -> Outcome:
    """Let time pass; workers run."""
    driver.vm.advance(operation.ms)
    return {"rc": 0}


@performs(MapInGuest)
def perform_gmap(driver: Driver, operation: MapInGuest, _vcpu: int) -> Outcome:
    """Map a range in the guest's own page tables."""
    driver.guest_tables().map(
        operation.gva,
        operation.gpa,
        operation.size,
        PAGE_LEVELS[operation.page],
        operation.pte_flags,
    )
    return {"rc": 0}


@performs(GuestPte)
def perform_gpte(driver: Driver, operation: GuestPte, _vcpu: int) -> Outcome:
    """Say where an entry of the guest's page tables is."""
    pte_gpa = driver.guest_tables().pte_gpa(operation.gva, operation.level)
    return {"rc": 0, "pte_gpa": hex(pte_gpa)}
