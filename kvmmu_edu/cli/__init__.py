"""The command ``kvmmu-edu``; each of its commands is a module of this package.

Ours.
"""

from kvmmu_edu.cli.bench import bench_command
from kvmmu_edu.cli.compare import compare_command
from kvmmu_edu.cli.group import CommandGroup
from kvmmu_edu.cli.lab import lab
from kvmmu_edu.cli.run import run_command

main = CommandGroup(
    "kvmmu-edu",
    help="Run, compare and time scenarios of Linux KVM's x86 MMU, and open the lessons about it.",
)
main.add_command(run_command)
main.add_command(compare_command)
main.add_command(bench_command)
main.add_command(lab)
