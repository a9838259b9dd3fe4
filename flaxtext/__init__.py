"""Word-embedding text classifiers in JAX/Flax, trained, compared and explained as a DVC pipeline."""

__version__ = "0.1.0"
