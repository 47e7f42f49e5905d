"""All figures, in the order in which they are shown.

Ours.
"""

from collections.abc import Iterator
from pathlib import Path

from kvmmu_edu.bench.creation import creation
from kvmmu_edu.bench.crowd import COUNTS, Crowd
from kvmmu_edu.bench.faults import faults
from kvmmu_edu.bench.lookups import lookups
from kvmmu_edu.bench.meter import Figure, Meter
from kvmmu_edu.bench.recordings import recordings
from kvmmu_edu.bench.slots import slots
from kvmmu_edu.bench.translations import translations


def everything(meter: Meter, folder: Path | None = None) -> Iterator[Figure]:
    """Measure each kind of work.

    :param folder: the recordings of one kernel; None: none are run
    """
    yield from faults(meter)
    yield from translations(meter)
    for count in COUNTS:
        crowd = Crowd(count)
        yield from slots(meter, crowd)
        yield from lookups(meter, crowd)
    yield from creation(meter)
    if folder is not None:
        yield from recordings(meter, folder)
