import pytest

from kvmmu_edu.errors import UsageError


def test_a_parameter_is_written_then_read(results):
    found = results(
        "param kvm/eager_page_split\nparam kvm/eager_page_split N\nparam kvm/nx_huge_pages bogus\n"
        "param kvm/tdp_mmu Y\nparam kvm/unheard_of"
    )
    assert found["param kvm/eager_page_split"]["value"] == "Y\n"
    assert found["param kvm/eager_page_split N"]["value"] == "N\n"
    bogus = found["param kvm/nx_huge_pages bogus"]
    assert (bogus["rc"], bogus["errno"], bogus["value"]) == (-1, "EINVAL", "N\n")
    assert found["param kvm/tdp_mmu Y"]["errno"] == "EACCES"
    assert found["param kvm/unheard_of"]["value"] == "cannot open"


def test_capabilities_are_asked_for_and_switched_on(results):
    found = results("checkcap 10\ncap 168 1\ncap 168 4")
    assert found["checkcap 10"]["rc"] == 32764
    assert found["cap 168 1"]["rc"] == 0
    assert found["cap 168 4"]["errno"] == "EINVAL"


def test_too_few_shadow_pages_are_refused(results):
    found = results("maxmmu 63\nmaxmmu 64")
    assert found["maxmmu 63"]["errno"] == "EINVAL"
    assert found["maxmmu 64"]["rc"] == 0


def test_rmaps_are_empty_without_a_shadow_mmu(results):
    assert results("rmaps")["rmaps"]["rmaps"] == ""


def test_sleeping_moves_the_clock(run):
    assert run("sleep 1200\nsleep 1").vm.kvm.clock.now_ms == 1201


def test_the_guests_tables_are_written_and_asked_for(results):
    found = results(
        "mode long64 own\nmem A anon4k 4M\nslot 0 0x400000 4M - A\n"
        "gmap 0x400000 0x400000 1M 4k\ngpte 0x400000 1\ngpte 0x400000 2\nread 0x401000"
    )
    assert found["gpte 0x400000 1"]["pte_gpa"] == "0xd0006000"
    assert found["gpte 0x400000 2"]["pte_gpa"] == "0xd0005010"
    assert found["read 0x401000"]["exits"] == [{"exit": "IO"}]


def test_the_guests_tables_need_a_payload(run):
    with pytest.raises(UsageError, match=r"test\.scn:2: the guest has no code"):
        run("payload off\ngpte 0x400000 1")
