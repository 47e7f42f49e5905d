"""KVM_CHECK_EXTENSION: what user space may ask of this KVM.

The answer is 0 for no, else 1 or a number that says more.

Kernel: kvm_vm_ioctl_check_extension(), arch/x86/kvm/x86.c;
    kvm_vm_ioctl_check_extension_generic(), virt/kvm/kvm_main.c (v6.12)
Simplified: what depends on the CPU, or is a number, is answered only where it concerns memory;
    the rest counts as missing.
"""

from typing import TYPE_CHECKING, Final

from kvmmu_edu.virt.dirty_ring import DIRTY_GFN_BYTES, DIRTY_RING_MAX_ENTRIES
from kvmmu_edu.virt.enable_cap import (
    CAP_DIRTY_LOG_RING,
    CAP_DIRTY_LOG_RING_ACQ_REL,
    CAP_MANUAL_DIRTY_LOG_PROTECT2,
)
from kvmmu_edu.virt.kvm import ADDRESS_SPACE_NUM
from kvmmu_edu.virt.memory_slot import USER_MEM_SLOTS

if TYPE_CHECKING:
    from kvmmu_edu.virt.kvm import Kvm

CAP_NR_VCPUS: Final = 9
CAP_NR_MEMSLOTS: Final = 10
CAP_COALESCED_MMIO: Final = 15
CAP_MAX_VCPUS: Final = 66
CAP_READONLY_MEM: Final = 81
CAP_X86_SMM: Final = 117
CAP_MULTI_ADDRESS_SPACE: Final = 118
CAP_MAX_VCPU_ID: Final = 128
CAP_DISABLE_QUIRKS2: Final = 213
CAP_USER_MEMORY2: Final = 231
CAP_MEMORY_FAULT_INFO: Final = 232
CAP_VM_TYPES: Final = 235
CAP_PRE_FAULT_MEMORY: Final = 236
CAP_X86_APIC_BUS_CYCLES_NS: Final = 237
CAP_X86_GUEST_MODE: Final = 238

#: vCPUs of a VM, by kernel, as Debian configures them
MAX_VCPUS: Final = {"6.12": 4096, "6.1": 1024}
#: the quirks that may be switched off, by kernel
VALID_QUIRKS: Final = {"6.12": 0x7FF, "6.1": 0x7F}

#: CPUs of the modelled host
_NUM_ONLINE_CPUS: Final = 2
_VCPU_ID_RATIO: Final = 4
_COALESCED_MMIO_PAGE_OFFSET: Final = 2
_DIRTY_LOG_MANUAL_CAPS: Final = 3
_DIRTY_RING_MAX_BYTES: Final = DIRTY_RING_MAX_ENTRIES * DIRTY_GFN_BYTES
_X86_DEFAULT_VM: Final = 1 << 0

#: capabilities that every KVM on x86 of these versions has
_NUMBERS: Final = """
    0 1 2 3 4 6 7 8 11 12 14 16 21 22 23 24 26 30 32 33 34 35 36 37 40 41 44 45 46 47 50 51
    54 55 59 61 72 76 77 82 95 96 97 98 100 105 116 121 122 123 127 136 148 149 153 154 155
    159 161 162 164 167 173 182 183 184 188 189 190 191 196 197 199 200 203 204 206 209 215
    218 220
"""
_YES: Final = frozenset(map(int, _NUMBERS.split()))
#: and those that 6.12 has besides: device control, masked PMU events, and these
_NEW: Final = frozenset((89, 226, CAP_USER_MEMORY2, CAP_MEMORY_FAULT_INFO, CAP_X86_GUEST_MODE))


def check_extension(kvm: "Kvm", cap: int) -> int:
    """Return what KVM says of capability number *cap*.

    Kernel: kvm_vm_ioctl_check_extension(), arch/x86/kvm/x86.c;
        kvm_vm_ioctl_check_extension_generic(), virt/kvm/kvm_main.c (v6.12)
    In v6.1: fewer; the numbers for vCPUs and quirks are smaller.
    """
    if cap in _YES:
        return 1
    kernel = kvm.choices.kernel
    answers = {
        CAP_NR_VCPUS: _NUM_ONLINE_CPUS,
        CAP_NR_MEMSLOTS: USER_MEM_SLOTS,
        CAP_COALESCED_MMIO: _COALESCED_MMIO_PAGE_OFFSET,
        CAP_MAX_VCPUS: MAX_VCPUS[kernel],
        CAP_READONLY_MEM: 1,
        CAP_X86_SMM: 1,
        CAP_MULTI_ADDRESS_SPACE: ADDRESS_SPACE_NUM,
        CAP_MAX_VCPU_ID: MAX_VCPUS[kernel] * _VCPU_ID_RATIO,
        CAP_MANUAL_DIRTY_LOG_PROTECT2: _DIRTY_LOG_MANUAL_CAPS,
        CAP_DIRTY_LOG_RING: _DIRTY_RING_MAX_BYTES,
        CAP_DIRTY_LOG_RING_ACQ_REL: _DIRTY_RING_MAX_BYTES,
        CAP_DISABLE_QUIRKS2: VALID_QUIRKS[kernel],
    }
    if not kvm.choices.is_6_1:
        answers |= dict.fromkeys(_NEW, 1) | {
            CAP_VM_TYPES: _X86_DEFAULT_VM,
            # it needs nested paging
            CAP_PRE_FAULT_MEMORY: int(kvm.params.npt),
            CAP_X86_APIC_BUS_CYCLES_NS: 1,
        }
    return answers.get(cap, 0)
