"""Where the lessons and assets lie that come with the code.

In a checkout, also when it is installed as editable, they stand beside the package; in an
installed wheel they stand inside it.

Ours.
"""

from pathlib import Path
from typing import Final, Literal

from kvmmu_edu.errors import UsageError

PACKAGE: Final = Path(__file__).parent


def is_checkout(package: Path = PACKAGE) -> bool:
    """Return whether *package* is used where it is developed."""
    return (package.parent / "pyproject.toml").is_file()


def shipped(what: Literal["notebooks", "assets"], package: Path = PACKAGE) -> Path:
    """Return the folder of the lessons or of the assets.

    :raises UsageError: when this installation has none
    """
    folder = (package.parent if is_checkout(package) else package / "_shipped") / what
    if not folder.is_dir():
        raise UsageError(f"this installation has no {what}; expected them in {folder}")
    return folder
