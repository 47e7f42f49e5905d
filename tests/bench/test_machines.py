from kvmmu_edu.bench.machines import BASE, addresses, guest


def test_all_pages_but_the_first_are_still_to_fault():
    vcpu = guest(8)
    assert vcpu.stats["pf_taken"] == 1
    for gpa in addresses(8):
        assert vcpu.read(gpa) == []
    assert vcpu.vm.counters.vm["pages_4k"] == vcpu.stats["pf_taken"] == 8


def test_addresses_are_pages_of_the_guest():
    assert list(addresses(4)) == [BASE + 4096, BASE + 2 * 4096, BASE + 3 * 4096]
