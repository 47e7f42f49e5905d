"""Creating and deleting memory slots, beside few and beside as many as a VM can have.

Ours.
"""

from collections.abc import Iterator
from functools import partial

from kvmmu_edu.bench.crowd import Crowd
from kvmmu_edu.bench.meter import Figure, Meter, Work


def slots(meter: Meter, crowd: Crowd) -> Iterator[Figure]:
    """Measure one deletion and one creation beside the other slots of *crowd*."""
    count = crowd.count
    yield meter.figure(
        f"slots.delete.{count}", f"deletion of one of {count:,} slots", partial(_deletion, crowd)
    )
    yield meter.figure(
        f"slots.create.{count}", f"creation of one of {count:,} slots", partial(_creation, crowd)
    )
    crowd.create_last()


def _deletion(crowd: Crowd) -> Work:
    crowd.create_last()
    return crowd.delete_last


def _creation(crowd: Crowd) -> Work:
    crowd.delete_last()
    return crowd.create_last
