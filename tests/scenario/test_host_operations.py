import pytest

from kvmmu_edu.errors import UsageError


def test_memory_is_aligned_to_2m_unless_asked_otherwise(results):
    found = results("mem A anon4k 1M\nmem B thp 4M 4M 4K")
    first, second = (int(result["hva"], 16) for result in found.values())
    assert first % (2 << 20) == 0
    assert second % (4 << 20) == 4096
    assert second < first


def test_a_pool_without_pages_gives_no_memory(results):
    found = results("#! hugepages2m 1\nmem A huge2m 2M\nmem B huge2m 2M\nslot 0 0 2M - B")
    assert found["slot 0 0 2M - B"]["errno"] == "EINVAL"
    assert found["mem A huge2m 2M"]["rc"] == 0
    assert found["mem B huge2m 2M"] == {
        "n": 2, "op": "mem B huge2m 2M", "rc": -1, "errno": "ENOMEM", "stats": {},
    }  # fmt: skip


def test_what_the_host_stores_is_what_it_loads(results):
    found = results("mem A anon4k 1M\nhostwrite A 2 8\nhostpeek A+8\nhostpeek A+16\nhostread A 9")
    assert found["hostpeek A+8"]["value"] == "0xa5"
    assert found["hostpeek A+16"]["value"] == "0x0"


def test_clearing_huge_pages_takes_time_once(run):
    pages = "#! hugepages1g 1\nmem G huge1g 1G\nhostwrite G\n"
    assert run(pages).vm.kvm.clock.now_ms == 1100
    assert run(pages + "hostwrite G 8 2M\nhostread G").vm.kvm.clock.now_ms == 1100
    assert run("mem B thp 32M\nhostwrite B 16 2M").vm.kvm.clock.now_ms == 34
    assert run("mem A anon4k 1M\nhostwrite A 256").vm.kvm.clock.now_ms == 0


def test_advice_protection_and_unmapping_reach_the_host(results):
    found = results(
        "mem A anon4k 1M\nhostwrite A 256\nmadvise A 4K dontneed\nhostpeek A\n"
        "mprotect A 4K r\nmunmap A+64K 4K\nmadvise A+1 4K dontneed"
    )
    assert found["hostpeek A"]["value"] == "0x0"
    assert found["mprotect A 4K r"]["rc"] == found["munmap A+64K 4K"]["rc"] == 0
    assert found["madvise A+1 4K dontneed"]["errno"] == "EINVAL"


def test_a_fork_is_noted(results):
    assert results("fork")["fork"] == {
        "n": 1, "op": "fork", "rc": 0, "note": "fork+exit", "stats": {},
    }  # fmt: skip


@pytest.mark.parametrize(
    "line", ["hostwrite A", "hostread A+8M", "hostpeek @0x1000", "madvise B 4K dontneed"]
)
def test_what_would_kill_the_process_is_a_mistake_of_the_scenario(run, line):
    with pytest.raises(UsageError, match=r"test\.scn:3: .*expected"):
        run(f"mem A anon4k 4M\nmprotect A 4K none\n{line}")


def test_commands_of_the_machine_do_nothing(results):
    found = results("mem A anon4k 1M\nsmaps A\nsh echo 1 > /sys/x")
    assert [result["rc"] for result in found.values()] == [0, 0, 0]
