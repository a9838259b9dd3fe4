"""How a stage starts and ends. For scripts alone: a library leaves its program's settings as they are.

Importing JAX and all else that a stage needs makes 300,000 objects that stay. The garbage collector looks through them
again and again as their number grows, which is a tenth of the time that imports take and, with Flax, a fifth. So it
rests from the import of this module, which a script therefore imports first of flaxtext's, until `run`.

JAX, as it is imported, reads what every installed package says of itself, in search of a plugin for one make of GPU,
and pydantic does in search of its own. A stage uses neither, and 200 packages take 0.1 s. So until `run`, the two find
none. (The plugins that JAX computes with are looked for later.)

PyArrow imports pandas at the first conversion, be it of a list of numbers, to know an object of pandas if it sees one.
That takes a quarter of a second, and most stages have no use for pandas. So they start with PyArrow told that there is
none. `to_pandas` looks for it again.

A stage ends at once, without the interpreter taking itself apart. That takes 0.05 s with JAX, and a thread of Arrow's
that lets go of a NumPy array meanwhile finds no interpreter to tell, and aborts the process that had done its work.
"""

import atexit
import gc
import os
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib import metadata
from importlib.abc import MetaPathFinder
from typing import Any

import pyarrow as pa

from flaxtext.core import errors


class NoPandas(MetaPathFinder):
    """Finds that there is no pandas, and leaves all else to others."""

    def find_spec(self, fullname: str, _path: object, _target: object = None) -> None:
        """Refuse pandas."""
        if fullname == "pandas":
            raise ModuleNotFoundError(fullname)


def _found(**context: Any) -> Iterable[metadata.Distribution]:
    searcher = sys._getframe(1).f_globals.get("__name__", "")
    return [] if searcher.startswith(("jax.", "pydantic.")) else _distributions(**context)


gc.disable()
_distributions = metadata.distributions
metadata.distributions = _found
if "pandas" not in sys.modules:
    sys.meta_path.insert(0, finder := NoPandas())
    pa.array([0])
    sys.meta_path.remove(finder)


def run(main: Callable[[], None]) -> None:
    """Run a script's `main` as `errors.run` does, with all as it was before the imports; the process then ends."""
    metadata.distributions = _distributions
    gc.freeze()  # before it is: it would look through all that was imported
    gc.enable()
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
        with suppress(OSError, ValueError):  # nobody reads it, or it is closed
            stream.flush()
    os._exit(status)
