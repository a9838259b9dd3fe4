"""JAX's persistent compilation cache: what a stage compiled once, the next run loads."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import jax
import platformdirs

MAX_BYTES = 64 * 1024**2
"""Size that the cache folder is cut back to; a new pipeline of four variants adds 1 MB."""


def keep_compiled() -> None:
    """Keep compiled code in the user's cache folder, such as ~/.cache/flaxtext/jax.

    JAX's own settings win: JAX_ENABLE_COMPILATION_CACHE=false in the environment switches the cache off, and
    JAX_COMPILATION_CACHE_DIR puts it elsewhere, where it is not cut back.
    """
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
    among 3,000. Another process may delete at the same time, or nobody be allowed to: a cache is no reason to stop.
    """
    with suppress(OSError):
        files = [(file.stat().st_atime_ns, file.stat().st_size, file.path) for file in os.scandir(folder)]
        excess = sum(size for _, size, _ in files) - max_bytes
        for _, size, path in sorted(files):
            if excess <= 0:
                break
            Path(path).unlink(missing_ok=True)
            excess -= size
