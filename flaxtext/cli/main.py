"""The command line: what a program calls, and what the shell does.

It imports nothing at first, so that from the start on Ctrl-C ends in one line.
"""

import sys

from flaxtext.core import errors
from flaxtext.core.startup import run_script


def main() -> None:
    """Run the command line within a program."""
    errors.run(_run)


def script() -> None:
    """Run the command line as a program of its own, which ends as a stage's script does."""
    run_script(_run, ends_unread=True)


def _run() -> None:
    from flaxtext.cli.app import app

    try:
        app()
    except SystemExit as ended:
        # Typer makes a status of what `errors.run` knows better; so does Rich, of help that is no longer read.
        told: BaseException | None = ended
        while told is not None:
            if isinstance(told, BrokenPipeError | KeyboardInterrupt):
                raise told from None
            told = told.__cause__ or told.__context__
        sys.stdout.flush()  # here, where `errors.run` hears of a full disk
        raise
