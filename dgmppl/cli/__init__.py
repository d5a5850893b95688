"""The command line: thin commands over `dgmppl.pipeline`, `dgmppl.lifecycle`, `dgmppl.report` and `dgmppl.sweep`.

Exit status: 0 fine, 1 the spec or its data is wrong, 2 the command was misused, 3 an error of dgmppl itself.
Each command imports what it needs when it runs, so that `dgmppl check` never waits for torch.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from dgmppl.cli import apply, figures, runs, specs, sweep
from dgmppl.cli.arguments import FINE, INTERNAL, INTERRUPTED, MISUSED, WRONG, Command
from dgmppl.cli.files import print_diagnostics
from dgmppl.cli.streams import prepare_streams
from dgmppl.diagnostics import SpecError
from dgmppl.train.rank import is_first_process


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns the exit status."""
    prepare_streams()
    status = _status(arguments)
    if not is_first_process():
        # A process that has only computed for another has nothing to tidy up; an accident in doing so would look
        # like one of the run.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    return status


def _status(arguments: Sequence[str] | None) -> int:
    options = _parser().parse_args(arguments)
    command: Command = options.command
    try:
        return command(options)
    except SpecError as error:
        if is_first_process():
            print_diagnostics(error)
        return MISUSED if all(d.code.startswith("E7") for d in error.diagnostics) else WRONG
    except KeyboardInterrupt:
        if is_first_process():
            print("dgmppl: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader, `head` say, has seen enough; stop Python from complaining about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FINE
    except Exception as error:
        if os.environ.get("DGMPPL_DEBUG"):
            raise
        kind = type(error).__name__
        print(
            f"dgmppl: internal error ({kind}: {error}). This is a mistake in dgmppl, not in your spec; "
            "DGMPPL_DEBUG=1 shows where it happened.",
            file=sys.stderr,
        )
        return INTERNAL


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dgmppl", description="Deep generative models from a spec.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Command, help_: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=help_, description=help_)
        sub.set_defaults(command=command)
        return sub

    for group in (specs, runs, apply, figures, sweep):
        group.add_commands(add)
    return parser
