"""Word-embedding text classifiers in JAX/Flax, trained, compared and explained as a DVC pipeline.

`flaxtext.load("data/models/average_20")` reads a trained model; `.predict(["some text"])` uses it.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flaxtext.artifacts.bundle import read_bundle as load

__all__ = ["__version__", "load"]
__version__ = "0.2.0"


def __getattr__(name: str) -> Any:
    """Import what is used, when it is: `import flaxtext` alone takes no time."""
    if name == "load":
        from flaxtext.artifacts.bundle import read_bundle

        return read_bundle
    raise AttributeError(f"module 'flaxtext' has no attribute {name!r}")
