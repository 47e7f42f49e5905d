"""Sentences about shadow pages and reverse maps, word for word."""

import pytest

from kvmmu_edu import ModuleParams, Vm
from kvmmu_edu.choices import Choices
from kvmmu_edu.trace import events as ev
from kvmmu_widgets.narrate import Narrator

TABLE = ev.GetShadowPage(5, 0, 0x400, 1, 0, True, 0)
ZAPPED = ev.PrepareZapShadowPage(5, 0, 0x400, 1, 0, 0, 0)


def told(*events):
    narrator = Narrator(Choices())
    return [narrator.tell(event) for event in events][-1].text


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (
            ev.ShadowPageLookup(0x400, 0x1781, found=False, collisions=0),
            "A shadow page for gfn 0x400, level 1, is not in the hash: it has to be made.",
        ),
        (
            ev.ShadowPageLookup(0x400, 0x1781, found=True, collisions=2),
            (
                "A shadow page for gfn 0x400, level 1, is found in the hash. 2 pages of other "
                "frames came before in its list."
            ),
        ),
        (
            ev.ShadowPagesRecycled(25),
            "To make room for new ones, zapped: 25 old shadow pages.",
        ),
        (
            ev.RmapsAllocated(3, 2101256, 2105344),
            "Reverse maps for slot object #3: 2,101,256 bytes, in whole pages 2,105,344.",
        ),
        (
            ev.RmapAdded(3, 0x401, 1, 5, 1, 0),
            (
                "Entry 1 of table 5 (level 1, gfn 0x400) joins the reverse map of the 4K page "
                "at gfn 0x401."
            ),
        ),
        (
            ev.RmapRemoved(3, 0x401, 1, 5, 1),
            (
                "Entry 1 of table 5 (level 1, gfn 0x400) leaves the reverse map of the 4K page "
                "at gfn 0x401."
            ),
        ),
        (
            ZAPPED,
            (
                "Table 5 (level 1, gfn 0x400) is emptied and unlinked; it is freed when TLBs have "
                "been flushed."
            ),
        ),
        (
            ZAPPED._replace(root_count=1),
            (
                "Table 5 (level 1, gfn 0x400) is emptied and unlinked; it is freed when no vCPU "
                "uses it as its root."
            ),
        ),
    ],
)
def test_sentences(event, text):
    assert told(TABLE, event) == text


def test_a_whole_run_without_the_tdp_mmu_is_told():
    vm = Vm(params=ModuleParams(tdp_mmu=False), trace="events")
    hva = vm.host.mmap("A", "anon4k", 1 << 20)
    vm.set_user_memory_region(0, 0, 0x400000, 1 << 20, hva)
    vm.create_vcpu().write(0x400000)
    vm.set_user_memory_region(0, 0, 0x400000, 0, hva)
    narrator = Narrator(Choices())
    texts = [narrator.tell(event).text for event in vm.trace.events()]
    assert "Reverse maps for slot 0 (#1): 2,064 bytes, in whole pages 12,288." in texts
    assert "The reverse maps of slot 0 (#1) are freed: 2,064 bytes." in texts
