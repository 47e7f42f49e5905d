"""For tests with random input: either it is understood, or a usage error says why not."""

from kvmmu_edu.errors import UsageError


def complaint(call):
    """Return the message of the usage error that *call* raises, or None; others pass."""
    try:
        call()
    except UsageError as error:
        return str(error)
    return None
