"""How the command answers to mistakes: one line on the error stream and exit status 2.

Ours.
"""

import os
import sys
from typing import Any, Final, NoReturn

import click

from kvmmu_edu.errors import UsageError

NAME: Final = "kvmmu-edu"
BAD_INPUT: Final = 2
_INTERRUPTED: Final = 130


class CommandGroup(click.Group):
    """A group of commands that says in one line what is wrong with its input."""

    def main(self, *args: Any, **extra: Any) -> NoReturn:
        """Run a command and exit with its status."""
        extra["standalone_mode"] = False
        status = 0
        try:
            found = super().main(*args, **extra)
            status = found if isinstance(found, int) else 0
        except click.exceptions.NoArgsIsHelpError as help_text:
            click.echo(help_text.format_message(), err=True)
            status = BAD_INPUT
        except click.ClickException as error:
            status = complain(error.format_message())
        except UsageError as error:
            status = complain(str(error))
        except BrokenPipeError:
            # whoever read our output has seen enough; nothing may be written at exit either
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            status = 1
        except (click.Abort, KeyboardInterrupt):
            status = _INTERRUPTED
        sys.exit(status)


def complain(message: str) -> int:
    """Print one line on the error stream; return the exit status for bad input."""
    click.echo(f"{NAME}: {' '.join(message.split())}", err=True)
    return BAD_INPUT
