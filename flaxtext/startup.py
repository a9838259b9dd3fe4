"""How a stage starts and ends. For scripts alone: a library leaves its program's settings as they are.

Importing JAX and all else that a stage needs makes 300,000 objects that stay. The garbage collector looks through them
again and again as their number grows, which is a tenth of the time that imports take and, with Flax, a fifth. So it
rests from the import of this module, which a script therefore imports first of flaxtext's, until `run`.

PyArrow imports pandas at the first conversion, be it of a list of numbers, to know an object of pandas if it sees one.
That takes a quarter of a second, and most stages have no use for pandas. So they start with PyArrow told that there is
none. `to_pandas` looks for it again.
"""

import gc
import sys
from collections.abc import Callable
from importlib.abc import MetaPathFinder

import pyarrow as pa

from flaxtext import errors


class NoPandas(MetaPathFinder):
    """Finds that there is no pandas, and leaves all else to others."""

    def find_spec(self, fullname: str, _path: object, _target: object = None) -> None:
        """Refuse pandas."""
        if fullname == "pandas":
            raise ModuleNotFoundError(fullname)


gc.disable()
if "pandas" not in sys.modules:
    sys.meta_path.insert(0, finder := NoPandas())
    pa.array([0])
    sys.meta_path.remove(finder)


def run(main: Callable[[], None]) -> None:
    """Run a script's `main` as `errors.run` does, with the garbage collector at work again."""
    gc.freeze()  # before it is: it would look through all that was imported
    gc.enable()
    errors.run(main)
