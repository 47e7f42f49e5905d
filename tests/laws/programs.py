"""Random programs on a VM: lists of operations that hypothesis draws, shrinks and prints.

The guest has 6 MiB of address space to play in, so that accesses meet slots, edges of huge
pages and holes often.
"""

from hypothesis import strategies as st

from kvmmu_edu import Choices, KvmError, ModuleParams, Vm
from kvmmu_edu.units import KIB, MIB, PAGE_SIZE

MEMORY = {"small": "anon4k", "huge": "thp"}
SIZE = 6 * MIB
LOG = 1

#: places that matter: edges of pages of 4 KiB and 2 MiB, and what lies between
pages = st.one_of(
    st.sampled_from([0, 1, 511, 512, 513, 1023, 1024, 1535]), st.integers(0, SIZE // PAGE_SIZE - 1)
)
slot_ids = st.integers(0, 2)
sizes = st.sampled_from([4 * KIB, 64 * KIB, MIB, 2 * MIB, 4 * MIB])
logging = st.sampled_from([0, LOG])
memory = st.sampled_from(sorted(MEMORY))

access = st.tuples(
    st.sampled_from(["read", "write", "write", "exec"]),
    st.integers(0, 1),
    pages,
    st.sampled_from([1, 2, 9]),
    st.sampled_from([1, 200]),
)
host_work = st.one_of(
    st.tuples(st.just("dontneed"), memory, pages, sizes), st.tuples(st.just("fork"))
)
slot_work = st.one_of(
    st.tuples(st.just("slot"), slot_ids, pages, sizes, logging, memory),
    st.tuples(st.just("flags"), slot_ids, logging),
    st.tuples(st.just("move"), slot_ids, pages),
    st.tuples(st.just("delete"), slot_ids),
    st.tuples(st.just("dirty"), slot_ids),
)
#: what every program starts from: 4 MiB that may be mapped huge, 2 MiB that may not
START = (("slot", 0, 0, 4 * MIB, 0, "huge"), ("slot", 1, 1024, 2 * MIB, LOG, "small"))
#: accesses more often than changes, or there is little to change
operations = st.sampled_from([access, access, access, slot_work, host_work]).flatmap(lambda s: s)
programs = st.lists(operations, min_size=3, max_size=16).map(lambda drawn: [*START, *drawn])
machines = st.builds(
    dict,
    kernel=st.sampled_from(["6.12", "6.1"]),
    nx_huge_pages=st.sampled_from(["off", "force"]),
    eager_page_split=st.booleans(),
)


class Machine:
    """A VM with two vCPUs and the memory that the programs use."""

    def __init__(self, machine, **options):
        params = ModuleParams(
            nx_huge_pages=machine["nx_huge_pages"], eager_page_split=machine["eager_page_split"]
        )
        self.vm = Vm(choices=Choices(kernel=machine["kernel"]), params=params, **options)
        self.memory = {n: self.vm.host.mmap(n, kind, SIZE) for n, kind in MEMORY.items()}
        for _ in range(2):
            self.vm.create_vcpu()
        self.slots = {}

    def run(self, program):
        """Run *program*; return what each operation gave, or the errno it was refused with."""
        return [self.do(*operation) for operation in program]

    def do(self, verb, *arguments):
        try:
            return getattr(self, verb)(*arguments)
        except KvmError as error:
            return error.name

    def set_slot(self, slot, region):
        self.vm.set_user_memory_region(slot, *region)
        self.slots[slot] = region

    def slot(self, slot, page, size, flags, memory):
        size = min(size, SIZE - page * PAGE_SIZE)
        self.set_slot(slot, (flags, page * PAGE_SIZE, size, self.memory[memory]))

    def flags(self, slot, flags):
        _, *rest = self.slots.get(slot, (0, 0, 0, 0))
        self.set_slot(slot, (flags, *rest))

    def move(self, slot, page):
        flags, _, *rest = self.slots.get(slot, (0, 0, 0, 0))
        self.set_slot(slot, (flags, page * PAGE_SIZE, *rest))

    def delete(self, slot):
        self.vm.set_user_memory_region(slot, 0, 0, 0, 0)
        self.slots.pop(slot, None)

    def touch(self, access, page, count, stride):
        places = range(page, min(page + count * stride, SIZE // PAGE_SIZE), stride)
        return [access(place * PAGE_SIZE) for place in places]

    def read(self, vcpu, *places):
        return self.touch(self.vm.vcpus[vcpu].read, *places)

    def write(self, vcpu, *places):
        return self.touch(self.vm.vcpus[vcpu].write, *places)

    def exec(self, vcpu, *places):
        return self.touch(self.vm.vcpus[vcpu].exec, *places)

    def dirty(self, slot):
        return self.vm.get_dirty_log(slot).tolist()

    def dontneed(self, memory, page, size):
        size = min(size, SIZE - page * PAGE_SIZE)
        self.vm.host.madvise(self.memory[memory] + page * PAGE_SIZE, size, "dontneed")

    def fork(self):
        self.vm.host.fork()
