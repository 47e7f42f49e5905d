def test_an_unknown_slot_repeats_zeros(results):
    found = results("mem A anon4k 1M\nmove 5 0x100000\nflags 6 d\ndelete 7")
    for line in ("move 5 0x100000", "flags 6 d", "delete 7"):
        assert (found[line]["rc"], found[line]["errno"]) == (-1, "EINVAL")


def test_fields_that_are_not_named_are_those_of_the_last_success(run):
    vm = run(
        "mem A anon4k 4M\nslot 0 0x100000 1M - A+1M\nslot 0 0x100000 2M - A\n"
        "move 0 0x800000\nflags 0 d"
    ).vm
    [slot] = [s for s in vm.kvm.slots_by_serial.values() if s.id == 0]
    assert slot.base_gfn == 0x800
    assert slot.npages == 256
    assert slot.flags == 1
    assert slot.userspace_addr == vm.host.mapping("A")[0] + (1 << 20)


def test_a_deleted_slot_is_remembered_with_size_0(results):
    found = results("mem A anon4k 1M\nslot 0 0 1M - A\ndelete 0\nmove 0 0x100000")
    assert found["delete 0"]["rc"] == 0
    assert found["move 0 0x100000"]["errno"] == "EINVAL"


def test_ids_carry_their_address_space(run):
    vm = run("mem A anon4k 1M\nslot 0x10003 0 1M - A").vm
    assert [s.id for s in vm.kvm.slots_by_serial.values() if s.as_id == 1] == [3]


def test_hva_may_be_a_number(results):
    found = results("slot 0 0x100000 1M - @0x1000\nslot 1 0x400000 1M - @0xffff800000000000")
    assert found["slot 0 0x100000 1M - @0x1000"]["rc"] == 0
    assert found["slot 1 0x400000 1M - @0xffff800000000000"]["errno"] == "EINVAL"
