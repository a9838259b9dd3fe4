"""How a script, a stage's or the command's, starts and ends. A library leaves its program's settings as they are."""

import atexit
import gc
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.abc import MetaPathFinder

from flaxtext.core import errors

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
    """
    was_enabled, plugins = gc.isenabled(), os.environ.get(PLUGINS)
    finder = NoPandas()
    gc.disable()
    os.environ[PLUGINS] = "__all__"
    sys.meta_path.insert(0, finder)
    try:
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


def run_script(main: Callable[[], None]) -> None:
    """Run a script's `main` as `errors.run` does; the process then ends at once.

    It ends without the interpreter taking itself apart. That takes 0.05 s with JAX, and a thread of Arrow's that reads
    ahead or lets go of a NumPy array meanwhile finds no interpreter to tell, and aborts the process that had done its
    work.
    """
    gc.freeze()  # the collector would look through all that was imported
    status = 1  # a traceback's
    try:
        errors.run(main)
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        raise
    finally:
        # Not at once: what runs the script, be it a profiler or a debugger, has its say first. Threads are waited for.
        atexit.register(_leave, status)


def _leave(status: int) -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # no longer read, or closed
            stream.flush()
    os._exit(status)
