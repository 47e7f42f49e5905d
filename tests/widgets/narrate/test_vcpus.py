"""Sentences about faults, requests and flushes, word for word."""

import pytest

from kvmmu_edu.choices import Choices
from kvmmu_edu.trace import events as ev
from kvmmu_edu.x86.page_fault import RetPf
from kvmmu_widgets.narrate import Narrator

LEAF = 0x200401E67
FAST = ev.FastPageFault(0, 0x401000, 7, 5, 1, LEAF & ~2, LEAF, False, True)


def told(event):
    narrator = Narrator(Choices())
    narrator.hear(ev.GetMmuPage(5, 0, 0x400, 1, 0, created=True))
    return narrator.tell(event).text


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (
            ev.GuestAccess(1, "write", 0x401000),
            "The write of vCPU 1 at gpa 0x401000 goes through.",
        ),
        (
            ev.GuestAccess(1, "exec", 0x401000),
            "The instruction fetch of vCPU 1 at gpa 0x401000 goes through.",
        ),
        (
            ev.PageFaultTaken(0, 0, 0x401000, 0x100000006),
            (
                "vCPU 0 leaves the guest for a write at gpa 0x401000: no entry maps the page "
                "(error code 0x100000006)."
            ),
        ),
        (
            ev.PageFaultTaken(0, 0, 0x401000, 7),
            (
                "vCPU 0 leaves the guest for a write at gpa 0x401000: the entry does not allow it "
                "(error code 0x7)."
            ),
        ),
        (
            ev.PageFaultTaken(0, 0, 0x401000, 0x14),
            (
                "vCPU 0 leaves the guest for an instruction fetch at gpa 0x401000: no entry maps "
                "the page (error code 0x14)."
            ),
        ),
        (
            ev.PageFaultTaken(0, 0, 0x401000, 0xD),
            (
                "vCPU 0 leaves the guest for a read at gpa 0x401000: the entry has reserved bits "
                "set: MMIO (error code 0xd)."
            ),
        ),
        (
            ev.PageFaultDone(0, 0x401, RetPf.FIXED),
            "The fault of vCPU 0 at gfn 0x401 is fixed: the guest may go on.",
        ),
        (
            ev.PageFaultDone(0, 0x401, RetPf.RETRY),
            "The fault of vCPU 0 at gfn 0x401 has to be tried again: something changed meanwhile.",
        ),
        (
            ev.PageFaultDone(0, 0x401, -14),
            "The fault of vCPU 0 at gfn 0x401 ends with errno 14.",
        ),
        (
            FAST,
            (
                "The fault of vCPU 0 at gpa 0x401000 is fixed without any lock: one compare and "
                "exchange made the entry RWX D A."
            ),
        ),
        (
            FAST._replace(spurious=True, fixed=False),
            (
                "The fault of vCPU 0 at gpa 0x401000 was over before it began: the entry allows "
                "the access by now."
            ),
        ),
        (
            FAST._replace(fixed=False),
            "The fault of vCPU 0 at gpa 0x401000 cannot be fixed without the lock.",
        ),
        (
            ev.SpteRequested(0x400, 0x200400, 2),
            "The fault handler wants to map gfn 0x400 to pfn 0x200400 with a 2M page.",
        ),
        (
            ev.SpteRequested(0x400, (1 << 63) - 1, 1),
            "The fault handler found no memory behind gfn 0x400.",
        ),
        (
            ev.SetSpte(0x401, LEAF, 1, 5, 1),
            "The fault handler installed 4K RWX D A for gfn 0x401 in entry 1 of table 5.",
        ),
        (
            ev.MarkMmioSpte(0, 5, 1, 0x401, 7, 6),
            (
                "There is no memory at gfn 0x401: entry 1 of table 5 will say so, for slot "
                "generation 6."
            ),
        ),
        (
            ev.MmioExit(0, 0xC0000000, 8, True),
            "vCPU 0 exits to user space: a write of 8 bytes at gpa 0xc0000000 is MMIO.",
        ),
        (
            ev.FlushRemoteTlbs("kvm_f", 0x400, 512, 0),
            (
                "kvm_f() asks all vCPUs to flush gfn 0x400 to 0x5ff (2 MiB); no vCPU had to be "
                "interrupted."
            ),
        ),
        (
            ev.FlushRemoteTlbs("kvm_f", 0, 0, 2),
            (
                "kvm_f() asks all vCPUs to flush all that they cache; 2 running vCPUs had to be "
                "interrupted."
            ),
        ),
        (
            ev.VcpuRequest(1, "TLB_FLUSH"),
            "vCPU 1 is asked for TLB_FLUSH before it enters the guest again.",
        ),
        (
            ev.VcpuTlbFlush(1, "a new root", False),
            "vCPU 1 empties its TLB because of a new root.",
        ),
        (ev.GuestEntered(1), "vCPU 1 enters the guest."),
        (ev.GuestLeft(1), "vCPU 1 leaves the guest."),
    ],
)  # fmt: skip
def test_sentences(event, text):
    assert told(event) == text
