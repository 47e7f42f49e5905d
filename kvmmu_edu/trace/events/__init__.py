"""Everything that the engine may tell, as values.

Each kind of event is a named tuple.  It owns what it holds (numbers, texts, copies of
arrays), so a trace stays true when the VM goes on, and stepping back is replaying old values
in reverse.  The engine writes ``trace.emit(Kind, value, ...)``: a run that keeps no trace
builds no event.

Memory slots are named by their *serial*: a number for each slot object, 0 for none, because
at times two objects share an id (a slot and its INVALID copy).  Page tables are named by
their *table* number, which is also their row in the arena.

Kernel: arch/x86/kvm/mmu/mmutrace.h, include/trace/events/kvm.h (v6.12)
"""

from kvmmu_edu.trace.events.host import (
    HostMapped,
    HostProtected,
    HostUnmapped,
    NotifierAge,
    NotifierInvalidateEnd,
    NotifierInvalidateStart,
)
from kvmmu_edu.trace.events.kinds import (
    Cause,
    Sptes,
    Tables,
)
from kvmmu_edu.trace.events.memslots import (
    ArchCommitMemoryRegion,
    ArchFlushShadowMemslot,
    ArchPrepareMemoryRegion,
    DirtyBitmapAllocated,
    GenerationChanged,
    LastUsedSlotChanged,
    MemslotsCopied,
    PageMarkedDirty,
    ReplaceMemslot,
    SetMemslot,
    SlotCreated,
    SlotFreed,
    SwapActiveMemslots,
    TreeChanged,
)
from kvmmu_edu.trace.events.operations import (
    LockAcquired,
    LockReleased,
    OperationBegin,
    OperationEnd,
    RcuCallbackQueued,
    SynchronizeSrcu,
)
from kvmmu_edu.trace.events.shadow import (
    GetShadowPage,
    PrepareZapShadowPage,
    RmapAdded,
    RmapRemoved,
    RmapsAllocated,
    RmapsFreed,
    ShadowPageLookup,
    ShadowPagesRecycled,
    ShadowSpteChanged,
)
from kvmmu_edu.trace.events.tables import (
    FrozenSpteHandled,
    GetMmuPage,
    MarkMmioSpte,
    MmuPageFreed,
    NxHugePageTracked,
    PageStatsUpdated,
    PrepareZapPage,
    RootInvalidated,
    SetSpte,
    SplitHugePage,
    SpteChanged,
    SpteRequested,
    ZapAllFast,
)
from kvmmu_edu.trace.events.vcpus import (
    FastPageFault,
    FlushRemoteTlbs,
    GuestAccess,
    GuestEntered,
    GuestLeft,
    MmioExit,
    PageFaultDone,
    PageFaultTaken,
    VcpuRequest,
    VcpuTlbFlush,
)

__all__ = [
    "ArchCommitMemoryRegion",
    "ArchFlushShadowMemslot",
    "ArchPrepareMemoryRegion",
    "Cause",
    "DirtyBitmapAllocated",
    "FastPageFault",
    "FlushRemoteTlbs",
    "FrozenSpteHandled",
    "GenerationChanged",
    "GetMmuPage",
    "GetShadowPage",
    "GuestAccess",
    "GuestEntered",
    "GuestLeft",
    "HostMapped",
    "HostProtected",
    "HostUnmapped",
    "LastUsedSlotChanged",
    "LockAcquired",
    "LockReleased",
    "MarkMmioSpte",
    "MemslotsCopied",
    "MmioExit",
    "MmuPageFreed",
    "NotifierAge",
    "NotifierInvalidateEnd",
    "NotifierInvalidateStart",
    "NxHugePageTracked",
    "OperationBegin",
    "OperationEnd",
    "PageFaultDone",
    "PageFaultTaken",
    "PageMarkedDirty",
    "PageStatsUpdated",
    "PrepareZapPage",
    "PrepareZapShadowPage",
    "RcuCallbackQueued",
    "ReplaceMemslot",
    "RmapAdded",
    "RmapRemoved",
    "RmapsAllocated",
    "RmapsFreed",
    "RootInvalidated",
    "SetMemslot",
    "SetSpte",
    "ShadowPageLookup",
    "ShadowPagesRecycled",
    "ShadowSpteChanged",
    "SlotCreated",
    "SlotFreed",
    "SplitHugePage",
    "SpteChanged",
    "SpteRequested",
    "Sptes",
    "SwapActiveMemslots",
    "SynchronizeSrcu",
    "Tables",
    "TreeChanged",
    "VcpuRequest",
    "VcpuTlbFlush",
    "ZapAllFast",
]
