"""What a recording leaves open: operations of which the host, not KVM, decides a part.

A recording is one of the possible outcomes.  Where khugepaged, KSM, the timer wheel or the
scheduling of vCPUs decide, a second recording of the same kernel need not be equal, so only
what must be equal is compared.

Ours.
"""

from typing import Final

#: first words of operations that the host alone answers: they are not compared at all
HOST_ONLY: Final = ("sh ", "smaps ", "param kvm/nx_huge_pages_recovery")

_KHUGEPAGED: Final = "khugepaged decides how it collapses"
_TIMER: Final = "the sleep ends so near to a period of the worker that the timer wheel decides"
_KSM: Final = "KSM merges pages when it gets to them"

#: recordings and operations in which only the results are compared, and why
RESULTS_ONLY: Final[dict[str, dict[int, str]]] = {
    "x01_collapse_nx_force": {9: _KHUGEPAGED},
    "c05_nx_ratio": {14: _TIMER},
    "x10_ksm": dict.fromkeys((10, 13, 15, 17), _KSM),
}


def results_only(name: str, n: int, *, parallel: bool) -> str:
    """Return why only the results of an operation count, or an empty text.

    :param name: of the recording
    :param parallel: whether vCPUs ran at once in it
    """
    if parallel:
        return "vCPUs ran at once"
    return RESULTS_ONLY.get(name, {}).get(n, "")
