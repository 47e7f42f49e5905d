import click
import pytest
from click.testing import CliRunner

from kvmmu_edu.cli.group import CommandGroup, complain
from kvmmu_edu.errors import UsageError


@pytest.fixture
def invoke():
    group = CommandGroup("kvmmu-edu", help="A test.")

    @group.command()
    @click.option("--times", type=click.IntRange(min=1), default=1)
    @click.argument("what")
    def do(what, times):
        if what == "wrong":
            raise UsageError("my.scn:3: 'x' is not a number;\n  expected one")
        if what == "stop":
            raise KeyboardInterrupt
        if what == "pipe":
            raise BrokenPipeError
        return int(what)

    return lambda *args: CliRunner().invoke(group, args)


def test_a_command_returns_its_exit_status(invoke):
    assert invoke("do", "0").exit_code == 0
    assert invoke("do", "1").exit_code == 1


def test_a_mistake_is_one_line_and_status_2(invoke):
    result = invoke("do", "wrong")
    assert result.exit_code == 2
    assert result.stderr == "kvmmu-edu: my.scn:3: 'x' is not a number; expected one\n"
    assert result.stdout == ""


@pytest.mark.parametrize(
    "args", [("undo",), ("do",), ("do", "1", "2"), ("do", "--times", "0", "1"), ("do", "--often")]
)
def test_wrong_arguments_are_one_line_too(invoke, args):
    result = invoke(*args)
    assert result.exit_code == 2
    assert result.stderr.startswith("kvmmu-edu: ")
    assert result.stderr.count("\n") == 1


def test_no_command_shows_the_help(invoke):
    result = invoke()
    assert result.exit_code == 2
    assert "A test." in result.output


def test_help_is_no_mistake(invoke):
    assert invoke("--help").exit_code == invoke("do", "--help").exit_code == 0


def test_an_interrupted_command_has_its_own_status(invoke):
    assert invoke("do", "stop").exit_code == 130


def test_complaints_have_no_line_breaks(capsys):
    assert complain("a\n b") == 2
    assert capsys.readouterr().err == "kvmmu-edu: a b\n"
