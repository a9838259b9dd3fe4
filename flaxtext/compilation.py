"""JAX's persistent compilation cache: what a stage compiled once, the next run loads."""

from typing import Any

import jax
import platformdirs

MAX_BYTES = 256 * 1024**2
"""Size of the cache folder; what was used longest ago goes first."""


def keep_compiled() -> None:
    """Keep compiled code in the user's cache folder, such as ~/.cache/flaxtext/jax.

    JAX's own settings win: JAX_ENABLE_COMPILATION_CACHE=false in the environment switches the cache off, and
    JAX_COMPILATION_CACHE_DIR puts it elsewhere.
    """
    config: Any = jax.config  # whose settings are not typed
    if config.jax_compilation_cache_dir is None:
        config.update("jax_compilation_cache_dir", str(platformdirs.user_cache_path("flaxtext") / "jax"))
        config.update("jax_compilation_cache_max_size", MAX_BYTES)
    config.update("jax_persistent_cache_min_compile_time_secs", 0)  # a stage compiles a few things, all soon
    config.update("jax_persistent_cache_min_entry_size_bytes", -1)
