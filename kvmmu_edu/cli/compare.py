"""``kvmmu-edu compare``: recordings of the real kernel against what runs have written.

Ours.
"""

from pathlib import Path

import click
from tqdm import tqdm

from kvmmu_edu.compare.comparison import compare_scenario
from kvmmu_edu.compare.material import RESULTS
from kvmmu_edu.compare.report import first_differences, totals
from kvmmu_edu.errors import UsageError


@click.command("compare")
@click.argument("recordings", type=click.Path(path_type=Path))
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--only", default="", help="Prefixes of scenario names, separated by commas.")
@click.option("--explain", default=20, help="How many disagreeing scenarios to explain.")
def compare_command(recordings: Path, output: Path, only: str, explain: int) -> int:
    """Compare OUTPUT with RECORDINGS, scenario by scenario.

    Exit status 0: everything agrees; 1: something differs; 2: a file is missing or corrupt.
    """
    if not output.is_dir():
        raise UsageError(f"{output}: no such folder; expected what kvmmu-edu run has written")
    folders = find_recordings(recordings, only)
    comparisons = [
        compare_scenario(folder, output / folder.name) for folder in tqdm(folders, disable=None)
    ]
    differing = [one for one in comparisons if not one.agrees]
    for one in differing[:explain]:
        click.echo("\n".join(first_differences(one)))
    if len(differing) > explain:
        click.echo(f"and {len(differing) - explain} more scenarios differ")
    click.echo(totals(comparisons))
    return int(bool(differing))


def find_recordings(recordings: Path, only: str = "") -> list[Path]:
    """Return the folders below *recordings* that hold a recording, sorted.

    :param only: prefixes of their names, separated by commas; empty: all
    :raises UsageError: when there is none
    """
    if not recordings.is_dir():
        raise UsageError(f"{recordings}: no such folder; expected one of recordings")
    prefixes = tuple(prefix for prefix in only.split(",") if prefix) or ("",)
    found = sorted(
        folder
        for folder in recordings.iterdir()
        if folder.name.startswith(prefixes) and (folder / RESULTS).exists()
    )
    if not found:
        raise UsageError(f"{recordings}: no recording {only or 'in it'}; expected a {RESULTS}")
    return found
