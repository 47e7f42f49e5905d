"""Fixtures of the generic half: a VM without page tables, and a vCPU in it."""

import pytest

from kvmmu_edu.virt.vcpu import KvmVcpu
from tests.virt.bench import make_kvm


@pytest.fixture
def kvm():
    return make_kvm()


@pytest.fixture
def vcpu(kvm):
    vcpu = KvmVcpu(kvm, len(kvm.vcpus))
    kvm.vcpus.append(vcpu)
    return vcpu
