"""How a script, a stage's or the command's, starts and ends. A library leaves its program's settings as they are."""

import atexit
import gc
import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.abc import MetaPathFinder
from typing import TYPE_CHECKING, cast

from flaxtext.core import errors, signals

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

PLUGINS = "PYDANTIC_DISABLE_PLUGINS"


class NoPandas(MetaPathFinder):
    """Finds that there is no pandas, and leaves all else to others."""

    def find_spec(self, fullname: str, _path: object, _target: object = None) -> None:
        """Refuse pandas."""
        if fullname == "pandas":
            raise ModuleNotFoundError(fullname)


@contextmanager
def fast_start() -> Iterator[None]:
    """Import faster: what a script imports goes inside. All that is changed is as it was before at the end.

    - Importing JAX and all else that a stage needs makes 300,000 objects that stay. The garbage collector looks through
      them again and again as their number grows, which is a tenth of the time that imports take and, with Flax, a
      fifth. So it rests meanwhile.
    - pydantic reads what every installed package says of itself, in search of plugins; a stage uses none.
    - PyArrow imports pandas at the first conversion, be it of a list of numbers, to know an object of pandas if it sees
      one. That takes a quarter of a second, and most stages have no use for pandas. So it makes its first conversion
      here, and finds none; `to_pandas` looks for it again. Where a version of PyArrow goes about it in another way,
      nothing is lost but the time.

    Ctrl-C and the like end the process at once meanwhile: there is nothing yet to put in order.
    """
    was_enabled, plugins = gc.isenabled(), os.environ.get(PLUGINS)
    finder = NoPandas()
    gc.disable()
    os.environ[PLUGINS] = "__all__"
    sys.meta_path.insert(0, finder)
    try:
        with signals.ending():
            if "pandas" not in sys.modules:
                import pyarrow as pa

                pa.array([0])
            sys.meta_path.remove(finder)
            yield
    finally:
        if finder in sys.meta_path:
            sys.meta_path.remove(finder)
        if plugins is None:
            os.environ.pop(PLUGINS, None)
        else:
            os.environ[PLUGINS] = plugins
        if was_enabled:
            gc.enable()


class StandardOutput(io.FileIO):
    """The bytes of standard output, whose errors name it.

    Args:
        ends_unread: whether it is an error that nobody reads it any more; else what is written then is lost.
    """

    def __init__(self, *, ends_unread: bool) -> None:
        super().__init__(1, "w", closefd=False)
        self.ends_unread = ends_unread

    def write(self, data: "ReadableBuffer", /) -> int:
        """Write bytes; returns how many were taken."""
        try:
            return super().write(data)
        except BrokenPipeError:
            if self.ends_unread:
                raise
            return memoryview(data).nbytes
        except OSError as error:
            raise OSError(error.errno, error.strerror, "standard output") from None


def run_script(main: Callable[[], None], *, ends_unread: bool = False) -> None:
    """Run a script's `main` as `errors.run` does; the process then ends at once.

    It ends without the interpreter taking itself apart. That takes 0.05 s with JAX, and a thread of Arrow's that reads
    ahead or lets go of a NumPy array meanwhile finds no interpreter to tell, and aborts the process that had done its
    work.

    SIGINT, SIGTERM and SIGHUP end it with 128 and their number, one line, and nothing half-written. With `ends_unread`,
    it ends as soon as its standard output is no longer read; otherwise it does its work, which is in its files.
    """
    gc.freeze()  # the collector would look through all that was imported
    status = 1  # a traceback's
    signals.end_on_signals()
    _prepare_streams(ends_unread=ends_unread)
    try:
        errors.run(main)
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        raise
    finally:
        # Not at once: what runs the script, be it a profiler or a debugger, has its say first. Threads are waited for.
        atexit.register(_leave, status)


def _prepare_streams(*, ends_unread: bool) -> None:
    """Let nothing that is printed fail for its characters, be the terminal one of ASCII; or for a stream's lack."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # closed by whoever started the process: the next file opened would take its place
            os.open(os.devnull, os.O_RDWR)
    sys.stdin = sys.stdin or _open(0, "r")
    sys.stderr = sys.stderr or _open(2, "w")
    before = cast(io.TextIOWrapper, sys.stdout) or _open(1, "w")
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(StandardOutput(ends_unread=ends_unread)),
        before.encoding,
        errors="replace",
        line_buffering=before.line_buffering or before.write_through,  # on a terminal, or with PYTHONUNBUFFERED
    )


def _open(number: int, mode: str) -> io.TextIOWrapper:
    return cast(io.TextIOWrapper, open(number, mode, encoding="utf-8", errors="backslashreplace", closefd=False))


def _leave(status: int) -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # no longer read, or closed
            stream.flush()
    os._exit(status)
