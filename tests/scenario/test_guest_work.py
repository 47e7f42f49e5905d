import pytest

from kvmmu_edu.errors import UsageError
from kvmmu_edu.trace.events import FlushRemoteTlbs

MEMORY = "mem A anon4k 4M\nhostwrite A 1024\nslot 0 0x400000 4M - A\n"


def events(run, kind):
    return [record.event for record in run.records if isinstance(record.event, kind)]


# --- one vCPU -----------------------------------------------------------------------------------


def test_a_hole_gives_one_mmio_exit_for_each_access(results):
    found = results("read 0x400000\nwrite 0x400000 2\nrmw 0x400000\nwritev 0x400000 7")
    write = {"exit": "MMIO", "gpa": "0x400000", "len": 8, "write": 1}
    read = write | {"write": 0}
    end = {"exit": "IO"}
    assert found["read 0x400000"]["exits"] == [read, end]
    assert found["write 0x400000 2"]["exits"] == [write, write | {"gpa": "0x401000"}, end]
    assert found["rmw 0x400000"]["exits"] == [read, write, end]
    assert found["writev 0x400000 7"]["exits"] == [write, end]


def test_a_32_bit_guest_accesses_4_bytes(results):
    exits = results("mode flat32\nread 0x400000")["read 0x400000"]["exits"]
    assert exits[0]["len"] == 4


def test_code_where_no_memory_is_cannot_be_emulated(results):
    assert results("exec 0x400000")["exec 0x400000"]["exits"] == [
        {"exit": "INTERNAL_ERROR", "code": 17, "rip": "0x400000", "rdi": "0x400000", "suberror": 1}
    ]


def test_a_page_that_cannot_be_had_ends_the_run(results):
    found = results(MEMORY + "mprotect A 4K none\nwrite 0x400000 3")
    assert found["write 0x400000 3"]["rc"] == 0
    assert found["write 0x400000 3"]["exits"] == [
        {"run": "EFAULT", "rip": "0xd0000040", "rdi": "0x400000"}
    ]


def test_code_is_stored_before_the_mark_and_counts_as_statistics(run):
    found = run("mem A anon4k 4M\nslot 0 0x400000 4M - A\nread 0x400000\nexec 0x400000\nhostpeek A")
    execute = found.results[3]
    # storing broke the zero page that the guest had mapped: flushed outside of the operation
    assert execute["stats"]["vm.remote_tlb_flush_requests"] == [0, 1]
    marked = False
    for line in found.trace_lines():
        marked = ("OP 4" in line) or (marked and "END 4" not in line)
        assert not (marked and "kvm_flush_remote_tlbs" in line)
    assert found.results[4]["value"] == "0xe3ff"


def test_code_is_stored_only_where_slots_are(results):
    found = results("mem A anon4k 4K\nslot 0 0x400000 4K - A\nexec 0x400000 2\nhostpeek A")
    assert found["hostpeek A"]["value"] == "0xe3ff"
    assert found["exec 0x400000 2"]["exits"][-1]["rip"] == "0x401000"


def test_repetition_adds_up(results):
    found = results(MEMORY + "rmw 0x400000 5000000 0\nhostpeek A")
    assert int(found["hostpeek A"]["value"], 16) == 0xA5 + 5000000


def test_repetition_in_a_hole_is_not_cut_short(results):
    exits = results("read 0x400000 5 0")["read 0x400000 5 0"]["exits"]
    assert len(exits) == 6


def test_page_table_instructions_only_fetch(results):
    found = results("invlpg 0x400000\ncr3")
    assert found["invlpg 0x400000"]["exits"] == found["cr3"]["exits"] == [{"exit": "IO"}]


# --- several vCPUs ------------------------------------------------------------------------------

TWO = "vcpus 2\n" + MEMORY


def test_vcpus_at_once_each_have_their_exits(results):
    line = "par v0 read 0x900000 | v1 write 0x400000"
    assert results(TWO + line)[line]["exits"] == [
        {"v": 0},
        {"exit": "MMIO", "gpa": "0x900000", "len": 8, "write": 0},
        {"exit": "IO"},
        {"v": 1},
        {"exit": "IO"},
    ]


def test_vcpus_at_once_lose_no_increment(results):
    found = results(TWO + "par v0 rmw 0x400000 500 0 | v1 rmw 0x400000 700 0\nhostpeek A")
    assert int(found["hostpeek A"]["value"], 16) == 0xA5 + 1200


def test_one_that_spins_keeps_nobody_waiting(results):
    found = results(TWO + "par v0 write 0x400000 512 | v1 rmw 0x600000 20000000 0\nhostpeek A+2M")
    assert int(found["hostpeek A+2M"]["value"], 16) == 0xA5 + 20000000


def test_one_that_fails_does_not_stop_the_other(results):
    line = "par v0 read 0x400000 | v1 read 0x401000"
    exits = results(TWO + "mprotect A 4K none\n" + line)[line]["exits"]
    assert exits == [
        {"v": 0},
        {"run": "EFAULT", "rip": "0xd0000000", "rdi": "0x400000"},
        {"v": 1},
        {"exit": "IO"},
    ]


# --- in the background --------------------------------------------------------------------------

SPIN = TWO + "bg v1 rmw 0x400000 1000000 0\n"


def test_work_in_the_background_is_waited_for(results):
    found = results(SPIN + "join v1\nhostpeek A")
    assert "exits" not in found["bg v1 rmw 0x400000 1000000 0"]
    assert found["join v1"]["exits"] == [{"v": 1}, {"exit": "IO"}]
    assert int(found["hostpeek A"]["value"], 16) == 0xA5 + 1000000


def test_a_running_guest_is_kicked_and_goes_on(run):
    found = run(SPIN + "flags 0 d\ndirty-get 0\nv0 write 0x401000\ndirty-get 0 1024\njoin v1")
    assert [flush.kicked for flush in events(found, FlushRemoteTlbs)] == [1, 1, 1]
    assert found.results[5]["dirty"] == [[0, 0]]
    assert found.results[7]["dirty"] == [[0, 1]]


def test_slots_can_be_deleted_under_a_running_guest(results):
    found = results(TWO + "bg v1 rmw 0x400000 100 0\ndelete 0\nstats\njoin v1\nhostpeek A")
    assert found["delete 0"]["rc"] == 0
    before = int(found["hostpeek A"]["value"], 16) - 0xA5
    mmio = [one["write"] for one in found["join v1"]["exits"] if one.get("exit") == "MMIO"]
    assert mmio == [0, 1] * (100 - before)
    assert 0 < before < 100


def test_a_short_program_ends_by_itself(results):
    found = results(TWO + "bg v1 write 0x400000\nstats\njoin v1\nhostpeek A")
    assert found["hostpeek A"]["value"] == "0x5a5a5a5a"


@pytest.mark.parametrize("last", ["stats", "v1 read 0x400000", "hostpeek @0"])
def test_work_that_nobody_waits_for_ends_with_the_process(run, last):
    if last == "stats":
        assert not run(SPIN + last).vm.kvm.running_vcpus
    else:
        with pytest.raises(UsageError):
            run(SPIN + last)


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (
            "bg v1 read 0x400000\nv1 read 0x400000",
            "v1 still works in the background; expected join",
        ),
        ("bg v1 read 0x400000\nbg v1 read 0x400000", "expected join v1 before"),
        ("join v1", "v1 does nothing in the background; expected bg before"),
        ("par v0 read 0x400000 | v2 read 0x400000", "there is no vCPU 2; expected vcpus 3"),
    ],
)
def test_mistakes_are_told(run, lines, why):
    with pytest.raises(UsageError, match=why):
        run(TWO + lines)
