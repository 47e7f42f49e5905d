"""Requests, kicks, and how flushes are counted."""

import pytest

from kvmmu_edu.errors import InvariantError
from kvmmu_edu.trace.events import FlushRemoteTlbs, VcpuRequest
from kvmmu_edu.virt.requests import (
    check_request,
    flush_remote_tlbs,
    flush_remote_tlbs_memslot,
    flush_remote_tlbs_range,
    make_all_cpus_request,
    make_request,
)
from kvmmu_edu.virt.vcpu import (
    EXITING_GUEST_MODE,
    IN_GUEST_MODE,
    OUTSIDE_GUEST_MODE,
    READING_SHADOW_PAGE_TABLES,
    REQ_MMU_FREE_OBSOLETE_ROOTS,
    REQ_TLB_FLUSH,
    KvmVcpu,
)
from tests.virt.bench import MIB, by_id, ioctl, kinds, run


@pytest.fixture
def four(kvm):
    """vCPUs outside, in the guest, on the way out, and reading shadow tables."""
    modes = (OUTSIDE_GUEST_MODE, IN_GUEST_MODE, EXITING_GUEST_MODE, READING_SHADOW_PAGE_TABLES)
    for i, mode in enumerate(modes):
        kvm.vcpus.append(KvmVcpu(kvm, i))
        kvm.vcpus[i].mode.write_once(mode)
    return kvm


def modes(kvm):
    return [vcpu.mode.read_once() for vcpu in kvm.vcpus]


def stats(kvm):
    return [kvm.trace.counters.vm[f"remote_tlb_flush{end}"] for end in ("_requests", "")]


def test_a_request_waits_until_it_is_answered(kvm, vcpu):
    make_request(vcpu, REQ_TLB_FLUSH)
    make_request(vcpu, REQ_TLB_FLUSH)
    assert check_request(vcpu, REQ_TLB_FLUSH)
    assert not check_request(vcpu, REQ_TLB_FLUSH)
    assert kinds(kvm, VcpuRequest) == [(0, "TLB_FLUSH")] * 2


def test_everyone_is_asked_but_who_is_outside_is_not_kicked(four):
    assert make_all_cpus_request(four, REQ_MMU_FREE_OBSOLETE_ROOTS) == 3
    assert all(REQ_MMU_FREE_OBSOLETE_ROOTS in vcpu.requests for vcpu in four.vcpus)
    assert modes(four) == [
        OUTSIDE_GUEST_MODE,
        EXITING_GUEST_MODE,
        EXITING_GUEST_MODE,
        READING_SHADOW_PAGE_TABLES,
    ]


def test_a_flush_with_nobody_in_the_guest_is_only_a_request(kvm, vcpu):
    flush_remote_tlbs(kvm, "me")
    assert stats(kvm) == [1, 0]
    assert REQ_TLB_FLUSH in vcpu.requests


def test_a_flush_that_had_to_kick_counts_twice(four):
    flush_remote_tlbs(four, "me")
    assert stats(four) == [1, 1]
    assert kinds(four, FlushRemoteTlbs) == [("me", 0, 0, 3)]


def test_a_flush_without_vcpus(kvm):
    flush_remote_tlbs(kvm, "me")
    assert stats(kvm) == [1, 0]


def test_a_range_is_one_request_for_everything(four):
    flush_remote_tlbs_range(four, 0x400, 512, "me")
    assert kinds(four, FlushRemoteTlbs) == [("me", 0x400, 512, 3)]
    assert stats(four) == [1, 1]
    assert all(REQ_TLB_FLUSH in vcpu.requests for vcpu in four.vcpus)


def test_flushing_a_slot_needs_slots_lock(kvm):
    ioctl(kvm, 0, MIB, MIB)
    slot = by_id(kvm, 0)

    async def locked():
        async with kvm.slots_lock:
            flush_remote_tlbs_memslot(kvm, slot, "me")

    run(kvm, locked())
    assert kinds(kvm, FlushRemoteTlbs) == [("me", 0x100, 256, 0)]
    with pytest.raises(InvariantError, match="needs slots_lock"):
        flush_remote_tlbs_memslot(kvm, slot, "me")
