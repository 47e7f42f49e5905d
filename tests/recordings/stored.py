"""The recordings of this folder: which there are, and copies that a test may change."""

import gzip
import shutil
from pathlib import Path

HERE = Path(__file__).parent


def stored(pattern="*"):
    """Return the folders of the recordings, those of 6.12 first."""
    found = HERE.glob(f"linux-*/{pattern}/")
    return sorted(found, key=lambda path: (path.parent.name != "linux-6.12", path.name))


def label(folder):
    """Return kernel and scenario, as the name of a test."""
    return f"{folder.parent.name}/{folder.name}"


def recording(kernel, name):
    """Return the folder of the recording of a scenario on a kernel."""
    return HERE / f"linux-{kernel}" / name


def copied(kernel, name, into):
    """Copy a recording below *into*, with its trace as text; return the copy's folder."""
    folder = into / name
    shutil.copytree(recording(kernel, name), folder)
    compressed = folder / "trace.txt.gz"
    if compressed.exists():
        (folder / "trace.txt").write_bytes(gzip.decompress(compressed.read_bytes()))
        compressed.unlink()
    return folder
