"""Word-embedding text classifiers in JAX/Flax, trained, compared and explained as a DVC pipeline."""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flaxtext.models.bundle import Classifier

__version__ = "0.1.0"


def load(path: str | Path) -> "Classifier":
    """Read a trained model, a folder such as data/models/average_20; `load(path).predict(["some text"])` uses it.

    Runs no code from the folder. Raises `flaxtext.core.errors.UserError` where it is not whole and consistent.
    """
    classifier: Classifier = import_module("flaxtext.models.bundle").load_bundle(path)  # JAX comes in only now
    return classifier
