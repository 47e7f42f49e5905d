"""Finding slots by guest frame, by host address and by id, in the bare structures.

Ours.
"""

from collections.abc import Callable, Iterator
from functools import partial

from kvmmu_edu.bench.crowd import Crowd
from kvmmu_edu.bench.meter import Figure, Meter, Work
from kvmmu_edu.lib.interval_tree import interval_tree_iter_first
from kvmmu_edu.virt.gfn_tree import search_memslots
from kvmmu_edu.virt.memslots import id_to_memslot


def lookups(meter: Meter, crowd: Crowd) -> Iterator[Figure]:
    """Measure lookups of slots that are spread over the whole of *crowd*."""
    numbers = range(0, crowd.count, max(1, crowd.count // meter.size(1000, 50)))
    slots = crowd.memslots
    count = crowd.count

    def by_gfn(number: int) -> object:
        return search_memslots(slots, crowd.gfn(number))

    def by_hva(number: int) -> object:
        hva = crowd.hva(number)
        return interval_tree_iter_first(slots.hva_tree, hva, hva)

    def by_id(number: int) -> object:
        return id_to_memslot(slots, number)

    for name, how, look_up in (
        ("gfn_tree", "red-black tree", by_gfn),
        ("hva_tree", "interval tree", by_hva),
        ("id_hash", "128 hash buckets", by_id),
    ):
        what = f"lookup among {count:,} slots, {how}"
        work = partial(_over, look_up, numbers)
        yield meter.figure(f"lookups.{name}.{count}", what, work)


def _over(look_up: Callable[[int], object], numbers: range) -> Work:
    def work() -> int:
        for number in numbers:
            look_up(number)
        return len(numbers)

    return work
