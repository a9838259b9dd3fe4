"""How JAX compiles: what a stage compiled once, the next run loads, and a GPU gives the same bytes each time."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import jax
import platformdirs

MAX_BYTES = 64 * 1024**2
"""Size that the cache folder is cut back to; a new pipeline of four variants adds 1 MB."""

SAME_BYTES = "xla_gpu_deterministic_ops"
"""XLA's flag for a GPU to add up in one order. Left to itself, it adds as its threads come by: an epoch took 0.009 s
instead of 0.06 to 0.08 s (AG News, one H100), and no two trainings gave the same model."""


UNKNOWN_OPTION = "No such compile option"
"""How XLA says that it does not know an option."""


class Compiled:
    """A function as `jax.jit` makes it, compiled with options of XLA where this version of it knows them.

    Options change how fast the function is, and no more; one that XLA has dropped is no reason to stop.
    """

    def __init__(self, function: Callable[..., Any], options: dict[str, Any] | None = None, **settings: Any) -> None:
        self._jitted: Any = jax.jit(function, compiler_options=options, **settings)
        self._plain: Any = jax.jit(function, **settings)

    def __call__(self, *arguments: Any) -> Any:
        """Call the function."""
        return self._guarded(lambda jitted: jitted(*arguments))

    def compile(self, *arguments: Any) -> None:
        """Compile what a call with such arguments runs."""
        self._guarded(lambda jitted: jitted.lower(*arguments).compile())

    def _guarded(self, use: Callable[[Any], Any]) -> Any:
        try:
            return use(self._jitted)
        except jax.errors.JaxRuntimeError as error:
            if UNKNOWN_OPTION not in str(error):
                raise
        self._jitted = self._plain
        return use(self._jitted)


def configure_jax() -> None:
    """Keep compiled code in the user's cache folder, such as ~/.cache/flaxtext/jax, and have a GPU repeat itself.

    It is called before JAX computes anything. JAX's own settings in the environment win:
    JAX_ENABLE_COMPILATION_CACHE=false switches the cache off, JAX_COMPILATION_CACHE_DIR puts it elsewhere, where it is
    not cut back, and XLA_FLAGS=--xla_gpu_deterministic_ops=false lets a GPU add up in any order.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if SAME_BYTES not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} --{SAME_BYTES}=true".strip()
    config: Any = jax.config  # whose settings are not typed
    if config.jax_compilation_cache_dir is None:
        folder = platformdirs.user_cache_path("flaxtext") / "jax"
        cut_back(folder, MAX_BYTES)
        config.update("jax_compilation_cache_dir", str(folder))
    config.update("jax_persistent_cache_min_compile_time_secs", 0)  # a stage compiles a few things, all soon
    config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def cut_back(folder: Path, max_bytes: int) -> None:
    """Delete the files of a folder that were read longest ago, until the others take at most `max_bytes`.

    JAX's own bound, jax_compilation_cache_max_size, goes through the whole folder for each entry it adds: 0.3 s each
    among 3,000. Another process may delete at the same time, or this one may not delete: a cache is no reason to stop.
    """
    with suppress(OSError):
        files = [(file.stat().st_atime_ns, file.stat().st_size, file.path) for file in os.scandir(folder)]
        excess = sum(size for _, size, _ in files) - max_bytes
        for _, size, path in sorted(files):
            if excess <= 0:
                break
            Path(path).unlink(missing_ok=True)
            excess -= size
