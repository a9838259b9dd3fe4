"""Errors that a user can fix, and how a stage ends on one: one line, no traceback."""

import os
import sys
from collections.abc import Callable


class UserError(Exception):
    """Bad input: the message says what was wrong, where (file, row, key) and what to do, on one line."""


def one_line(said: object) -> str:
    """Put what another library says of an error on one printable line of at most 200 characters."""
    line = " ".join(str(said).split())[:200]
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in line)


def run(main: Callable[[], None]) -> None:
    """Run a script's `main`; end with status 1 and one line on a `UserError` or an `OSError`, 130 on Ctrl-C.

    Where the output is no longer read, it ends with status 1 and says nothing, as command lines do.
    """
    try:
        main()
        sys.stdout.flush()  # here, where a full disk is told as any other
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:  # `| head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python's last flush goes there
        sys.exit(1)
    except OSError as error:  # no permission, no space, a folder that is a file
        said = f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
        print(f"error: {said}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted: nothing half-written was kept", file=sys.stderr)
        sys.exit(130)
