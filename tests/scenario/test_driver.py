import pytest

from kvmmu_edu.errors import KvmError, UsageError
from kvmmu_edu.scenario.arguments import HostAddress
from kvmmu_edu.scenario.driver import PERFORMERS, Driver, Region, attempt
from kvmmu_edu.scenario.grammar import VERBS
from kvmmu_edu.scenario.headers import Mode, PayloadAt, Vcpus
from kvmmu_edu.scenario.operations import Background, Par
from kvmmu_edu.scenario.turns import TurnScheduler
from kvmmu_edu.vm import Vm


@pytest.fixture
def driver():
    sched = TurnScheduler()
    return Driver(Vm(sched=sched), sched)


def set_up(driver, *headers):
    for header in headers:
        driver.configure(header)
    driver.map_payload(driver.settings.payload)
    driver.set_up(1)
    return driver


def test_the_payload_is_populated_mapped_and_remembered(driver):
    set_up(driver)
    assert driver.payload.gpa == 0xD0000000
    assert driver.regions[32000].size == 64 * 4096
    assert driver.program().entry("write") == 0xD0000040
    assert driver.vm.kvm.mm.page_for(driver.payload.hva + 63 * 4096, write=True) is not None
    assert len(driver.vcpus) == 1


def test_a_payload_may_lie_elsewhere_or_be_left_out(driver):
    set_up(driver, PayloadAt(7, 0x1000000, 32 * 4096), Vcpus(2))
    assert driver.payload.cr3 == 0x1001000
    assert driver.regions.keys() == {7}
    assert len(driver.vcpus) == 2


def test_without_a_payload_there_is_no_code(driver):
    set_up(driver, PayloadAt(-1))
    assert not driver.regions
    with pytest.raises(UsageError, match="no code and no page tables; expected a payload"):
        driver.program()


def test_setting_up_twice_does_nothing(driver):
    set_up(driver).set_up(9)
    assert driver.line_of_first_operation == 1
    assert len(driver.vcpus) == 1


def test_a_header_may_come_late_only_if_it_changes_nothing(driver):
    set_up(driver)
    driver.configure(Mode("long64", "1g"))
    with pytest.raises(UsageError, match="comes too late; expected it before line 1"):
        driver.configure(Mode("flat32"))


def test_host_addresses(driver):
    driver.memories["A"] = 0x7000_0000
    assert driver.hva(HostAddress("A", 0x1000)) == 0x7000_1000
    assert driver.hva(HostAddress("", 0x1000)) == 0x1000
    with pytest.raises(UsageError, match="'B' is not mapped; expected mem B before"):
        driver.hva(HostAddress("B", 0))


def test_a_vcpu_that_is_not_there_is_told(driver):
    set_up(driver)
    with pytest.raises(UsageError, match="no vCPU 1; expected vcpus 2 in a header"):
        driver.vcpu(1)


def test_slots_of_address_space_0_are_found(driver):
    driver.regions[1] = Region(0x1000, 0x1000, 0, 0x7000)
    driver.regions[0x10002] = Region(0x4000, 0x1000, 0, 0x8000)
    driver.regions[3] = Region(0x6000, 0, 0, 0x9000)
    assert driver.find_region(0x1FFF) is driver.regions[1]
    assert driver.find_region(0x2000) is None
    assert driver.find_region(0x4000) is None
    assert driver.find_region(0x6000) is None


def test_a_refusal_becomes_a_return_code():
    def refuse():
        raise KvmError("EEXIST", "two slots")

    assert attempt(refuse) == {"rc": -1, "errno": "EEXIST"}
    assert attempt(lambda: 32764) == {"rc": 32764}
    assert attempt(lambda: None) == {"rc": 0}


def test_every_operation_has_somebody_who_carries_it_out(run):
    run("stats")
    kinds = {verb.kind for verb in VERBS.values() if not verb.kind.is_header}
    assert kinds | {Par, Background} == PERFORMERS.keys()
