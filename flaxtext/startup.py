"""How a stage starts and ends. For scripts alone: a library leaves the garbage collection of its program as it is.

Importing JAX and all else that a stage needs makes 300,000 objects that stay. The garbage collector looks through them
again and again as their number grows, which is a tenth of the time that imports take and, with Flax, a fifth. So it
rests from the import of this module, which a script therefore imports first of flaxtext's, until `run`.
"""

import gc
from collections.abc import Callable

from flaxtext import errors

gc.disable()


def run(main: Callable[[], None]) -> None:
    """Run a script's `main` as `errors.run` does, with the garbage collector at work again."""
    gc.freeze()  # before it is: it would look through all that was imported
    gc.enable()
    errors.run(main)
