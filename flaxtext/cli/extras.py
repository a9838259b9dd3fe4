"""What to install where a command needs a package that is not there: `pip install flaxtext` alone predicts."""

from collections.abc import Iterator
from contextlib import contextmanager

from flaxtext.core.errors import UserError

PACKAGES = {
    "altair": "altair",
    "dvc": "dvc",
    "flatbuffers": "flatbuffers",
    "flax": "flax",
    "fsspec": "fsspec",
    "jax": "jax",
    "jinja2": "jinja2",
    "markupsafe": "markupsafe",
    "optax": "optax",
    "pandas": "pandas",
    "platformdirs": "platformdirs",
    "pydantic": "pydantic",
    "ruamel": "ruamel.yaml",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
}
"""Module -> the package that it comes with, of those that the extras bring and that a command cannot do without."""


@contextmanager
def says_what_to_install(command: str, extra: str) -> Iterator[None]:
    """Turn the lack of a package, which the command's `extra` brings, into a `UserError`; also as a decorator."""
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module not in PACKAGES:
            raise
        raise UserError(
            f"flaxtext {command} needs the package {PACKAGES[module]}: pip install 'flaxtext[{extra}]'"
        ) from None
