"""The recordings of this folder: which there are, and getting one out of its archive."""

import tarfile
from pathlib import Path

HERE = Path(__file__).parent
SUFFIX = ".tar.xz"


def archives(pattern="*"):
    """Return the archives of both kernels, those of 6.12 first."""
    found = HERE.glob(f"linux-*/{pattern}{SUFFIX}")
    return sorted(found, key=lambda path: (len(path.parent.name) * -1, path.name))


def name_of(archive):
    """Return the scenario's name."""
    return archive.name.removesuffix(SUFFIX)


def extract(archive, into):
    """Unpack an archive below *into*; return the folder, named after the scenario."""
    folder = into / name_of(archive)
    folder.mkdir(parents=True)
    with tarfile.open(archive) as files:
        files.extractall(folder, filter="data")
    return folder


def recording(kernel, name, into):
    """Unpack the recording of a scenario on a kernel."""
    return extract(HERE / f"linux-{kernel}" / f"{name}{SUFFIX}", into)
