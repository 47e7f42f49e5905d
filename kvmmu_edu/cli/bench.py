"""``kvmmu-edu bench``: prints what single faults cost on this machine.

Ours.
"""

import json
from typing import Any

import click

from kvmmu_edu.bench.faults import faults_by_call, faults_by_program
from kvmmu_edu.bench.reference import loop_rate

_WORK = (
    ("vcpu.read, no trace", faults_by_call, "none"),
    ("vcpu.read, all events", faults_by_call, "events"),
    ("a program, no trace", faults_by_program, "none"),
    ("a program, all events", faults_by_program, "events"),
    ("a program, all steps", faults_by_program, "steps"),
)


@click.command("bench")
@click.option("--quick", is_flag=True, help="Few pages: to see that it works.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def bench_command(*, quick: bool, as_json: bool) -> None:
    """Measure single page faults; the best of three rounds.

    Machines differ and are busy at times.  So the rate of a plain Python loop, measured in
    the same round, stands beside the faults: compare the ratios.
    """
    npages = 500 if quick else 30_000
    rows: list[dict[str, Any]] = []
    for name, work, trace in _WORK:
        rounds = [(work(npages, trace), loop_rate()) for _ in range(1 if quick else 3)]
        rate, loop = max(rounds)
        rows.append({"work": name, "per_second": round(rate), "loops_per_fault": loop / rate})
    if as_json:
        click.echo(json.dumps({"npages": npages, "single_faults": rows}))
        return
    click.echo(f"single faults, {npages} pages of 4K, each touched for the first time")
    for row in rows:
        loops = f"{row['loops_per_fault']:.0f} turns of a plain loop each"
        click.echo(f"  {row['work']:<24}{row['per_second']:>9,} /s   {loops}")
