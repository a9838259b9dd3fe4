"""Ends a process that is told to end, by Ctrl-C, `kill` or a terminal that closes, with nothing half-written left.

It ends where it is, by `os._exit`, once its unfinished files are removed. An exception, as Python makes of Ctrl-C, may
be lost where it comes up, in a callback of the garbage collector or of Arrow; and on its way out it would wait for
threads, one of which may read from a pipe what never comes.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from flaxtext.core.files import settle

SIGNALS = {
    getattr(signal, name): said
    for name, said in {"SIGINT": "interrupted", "SIGTERM": "terminated", "SIGHUP": "hung up"}.items()
    if hasattr(signal, name)  # Windows has no SIGHUP
}
"""Signal -> what the process that ends by it says; its status is 128 and the signal's number, as shells have it."""

Handler = Callable[[int, FrameType | None], Any]


class Stopped(KeyboardInterrupt):
    """A signal came while `raising`.

    Attributes:
        number: the signal's.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def end_on_signals() -> None:
    """Let signals end the process from now on: one line, and nothing half-written."""
    _handle(_end)


@contextmanager
def ending() -> Iterator[None]:
    """Let signals end the process meanwhile; then they do what they did before."""
    with _handled(_end):
        yield


@contextmanager
def raising() -> Iterator[None]:
    """Let a signal raise `Stopped` meanwhile, where there is more to put in order than files; the next one ends."""
    with _handled(_raise):
        yield


def farewell(number: int) -> str:
    """Say why the process ends."""
    return f"{SIGNALS[signal.Signals(number)]}: nothing half-written was kept"


def _raise(number: int, _frame: FrameType | None) -> None:
    _handle(_end)
    raise Stopped(number)


def _end(number: int, frame: FrameType | None) -> None:
    _handle(_end_at_once)
    with suppress(Exception):  # no longer read, or being written to
        sys.stdout.flush()
    _end_at_once(number, frame)


def _end_at_once(number: int, _frame: FrameType | None) -> None:
    settle()
    with suppress(OSError):  # the terminal is gone
        start = "\n" if os.isatty(2) else ""  # below a progress bar
        os.write(2, f"{start}{farewell(number)}\n".encode())  # not by `sys.stderr`, which may be writing
    os._exit(128 + number)


OURS = (_raise, _end, _end_at_once)


@contextmanager
def _handled(handler: Handler) -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    _handle(handler)
    try:
        yield
    finally:
        for number, own in before.items():
            if signal.getsignal(number) in OURS and own is not None:
                signal.signal(number, own)


def _handle(handler: Handler) -> None:
    """Set the handler of each signal that ended the process so far, if this is the thread that may.

    What whoever started the process had it ignore, as `nohup` does with SIGHUP, stays ignored.
    """
    with suppress(ValueError):  # not the main thread
        for number in SIGNALS:
            if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler, *OURS):
                signal.signal(number, handler)
