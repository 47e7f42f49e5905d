import subprocess
import sys

from click.testing import CliRunner

from kvmmu_edu.cli import main


def test_each_command_is_there_and_says_what_it_does():
    shown = CliRunner().invoke(main, ["--help"]).output
    assert {"run", "compare", "lab"} <= main.commands.keys()
    for command in main.commands.values():
        assert command.help.split("\n")[0].split(";")[0] in shown


def test_the_command_runs_as_a_program(tmp_path):
    program = "import sys; from kvmmu_edu.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "run", str(tmp_path / "none"), "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "expected a scenario" in done.stderr


def test_a_reader_that_stops_reading_is_no_error(tmp_path):
    program = "from kvmmu_edu.cli import main; main(['--help'])"
    command = f'"{sys.executable}" -c "{program}" | true'
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
