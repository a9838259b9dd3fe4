"""Class probabilities of many documents, a chunk at a time: by NumPy, or by JAX where that pays for its compilation."""

from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np

from flaxtext.model.architecture import Architecture, Parameters
from flaxtext.model.forward import Block, apply, softmax
from flaxtext.text.features import FeatureIds

Backend = Literal["numpy", "jax"]

CHUNK_IDS = 2**16
"""Features in one forward pass, at most: their embeddings stay in the CPU's cache."""

CHUNK_VALUES = 2**23
"""Values of embeddings in one forward pass, at most, where embeddings are wide."""

JAX_IDS = 2**22
"""Ids, padding included, from which on JAX is faster in a process that has yet to import it and to compile.

Measured by the processor time of predicting Parquet files, of 20,000 and of 100,000 texts of the embedded corpus, in
new processes with JAX's compilation cache filled: flatten_20 breaks even at 2.6 million ids, average_20 at 4.2 million.
"""


def choose_backend(ids: int) -> Backend:
    """Choose what computes a prediction of so many ids: JAX where it is installed and they are many."""
    return "jax" if ids >= JAX_IDS and find_spec("jax") is not None else "numpy"


def class_probabilities(
    architecture: Architecture, parameters: Parameters, features: FeatureIds, backend: Backend
) -> np.ndarray:
    """Run a model over documents: `float32[n, classes]`.

    Documents that are weighted have no padding to speak of, and are for NumPy.
    """
    run = _run_jax if backend == "jax" and not architecture.weighs else _run_numpy
    if run is _run_numpy:
        parameters = {
            layer: {key: np.asarray(array) for key, array in own.items()} for layer, own in parameters.items()
        }
    answers = np.zeros((features.documents, architecture.classes), np.float32)
    for documents, block in blocks(architecture, features):
        answers[documents] = run(architecture, parameters, block)
    return answers


WIDTHS = np.array([size for power in range(3, 31) for size in (2**power, 3 * 2 ** (power - 1))])
"""Widths of blocks: few, so that JAX compiles seldom, and no more than a third of a block is padding."""


def blocks(architecture: Architecture, features: FeatureIds) -> Iterator[tuple[np.ndarray, Block]]:
    """Lay documents out in blocks of much the same length, shortest first: their numbers, and the block."""
    width_of = np.searchsorted(WIDTHS, features.lengths)
    order = np.argsort(width_of, kind="stable")
    limit = max(1, min(CHUNK_IDS, CHUNK_VALUES // architecture.embed_dim))
    for group in np.split(order, np.flatnonzero(np.diff(width_of[order])) + 1):
        if len(group):
            width = int(WIDTHS[width_of[group[0]]])
            size = 1 << (max(1, limit // width).bit_length() - 1)
            for first in range(0, len(group), size):
                documents = group[first : first + size]
                yield documents, lay_out(features, documents, width)


def lay_out(features: FeatureIds, documents: np.ndarray, width: int) -> Block:
    """Lay documents, `int[k]`, out in rows of `width` features, with padding at the end; longer ones are cut."""
    columns = np.arange(width)
    is_there = columns < features.lengths[documents][:, None]
    places = (features.offsets[documents][:, None] + columns)[is_there]

    def fill(values: np.ndarray) -> np.ndarray:
        filled = np.zeros(is_there.shape, values.dtype)
        filled[is_there] = values[places]
        return filled

    return Block(fill(features.rows), None if features.weights is None else fill(features.weights))


def _run_numpy(architecture: Architecture, parameters: Parameters, block: Block) -> np.ndarray:
    filled = int(np.flatnonzero(block.rows.any(axis=0)).max(initial=0)) + 1
    weights = block.weights if block.weights is None else block.weights[:, :filled]
    result: np.ndarray = softmax(apply(architecture, parameters, Block(block.rows[:, :filled], weights)))
    return result


def _run_jax(architecture: Architecture, parameters: Parameters, block: Block) -> np.ndarray:
    """The last, smaller block of a width is filled up to a fourth of the others, a sixteenth and so on."""
    documents, width = block.rows.shape
    width = min(width, architecture.positions or width)
    size = 1 << (max(1, CHUNK_IDS // width).bit_length() - 1)
    while size // 4 >= documents:
        size //= 4
    padded = np.zeros((max(size, documents), width), np.int32)
    padded[:documents] = block.rows[:, :width]
    return np.asarray(_compiled()(architecture, parameters, Block(padded)))[:documents]


@cache
def _compiled() -> Any:
    import jax

    def probabilities(architecture: Architecture, parameters: Parameters, block: Block) -> Any:
        return jax.nn.softmax(apply(architecture, parameters, block))

    return jax.jit(probabilities, static_argnums=0)
