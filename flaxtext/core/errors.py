"""Errors that a user can fix, and how a script ends on one: one line, no traceback."""

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress

from flaxtext.core.printable import visible
from flaxtext.core.signals import Stopped, farewell


class UserError(Exception):
    """Bad input: the message says what was wrong, where (file, row, key) and what to do, on one line.

    Of several problems, each is an argument, and a line.
    """

    def __str__(self) -> str:
        return "\n".join(map(str, self.args))


def one_line(said: object) -> str:
    """Put what another library says of an error on one printable line of at most 200 characters."""
    line = " ".join(str(said).split())[:200]
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in line)


def run(main: Callable[[], None]) -> None:
    """Run a script's `main`; end with status 1 and one line on a `UserError` or an `OSError`, 130 on Ctrl-C.

    Where the output is no longer read, it ends with status 0 and says nothing: whoever reads has all that they want.
    """
    try:
        main()
        sys.stdout.flush()  # here, where a full disk is told as any other
    except UserError as error:
        _fail(*error.args)
    except BrokenPipeError:  # `| head` has read enough
        with suppress(OSError, ValueError):  # no file of the system's, in a program that has its own
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python's last flush goes there
        sys.exit(0)
    except OSError as error:  # no permission, no space, a folder that is a file
        _fail(describe(error))
    except KeyboardInterrupt as stop:
        number = stop.number if isinstance(stop, Stopped) else signal.SIGINT
        _say(farewell(number))
        sys.exit(128 + number)


def describe(error: OSError) -> str:
    """Say on one line what the system refused, and of which file."""
    if not error.filename or not error.strerror:
        return one_line(error)
    return f"{error.filename}: {error.strerror[:1].lower()}{error.strerror[1:]}"


def _fail(*problems: str) -> None:
    _say("error: " + "\n".join(map(visible, problems)))
    sys.exit(1)


def _say(line: str) -> None:
    with suppress(OSError, ValueError):  # no longer read, or closed
        print(line, file=sys.stderr)
