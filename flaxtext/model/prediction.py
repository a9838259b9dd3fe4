"""Class probabilities of many documents, a chunk at a time: by NumPy, or by JAX where that pays for its compilation."""

from functools import cache
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np

from flaxtext.model.architecture import Architecture, Parameters
from flaxtext.model.forward import Block, apply, softmax
from flaxtext.model.linear import Linear, linear_probabilities

Backend = Literal["numpy", "jax"]

CHUNK_IDS = 2**16
"""Ids in one forward pass, at most: their embeddings stay in the CPU's cache."""

JAX_IDS = 2**22
"""Ids, padding included, from which on JAX is faster in a process that has yet to import it and to compile.

Measured by the processor time of predicting Parquet files, of 20,000 and of 100,000 texts of the embedded corpus, in
new processes with JAX's compilation cache filled: flatten_20 breaks even at 2.6 million ids, average_20 at 4.2 million,
stems_32 at 4.5 million.
"""


def choose_backend(ids: int) -> Backend:
    """Choose what computes a prediction of so many ids: JAX where it is installed and they are many."""
    return "jax" if ids >= JAX_IDS and find_spec("jax") is not None else "numpy"


def class_probabilities(
    architecture: Architecture, parameters: Parameters, ids: np.ndarray, backend: Backend
) -> np.ndarray:
    """Run a model over `ids: int32[n, positions]`: `float32[n, classes]`."""
    if architecture.is_linear:
        return linear_probabilities(Linear(**parameters["linear"]), ids)
    run = _run_jax if backend == "jax" else _run_numpy
    chunks = run(architecture, parameters, ids)
    return np.concatenate(chunks) if chunks else np.zeros((0, architecture.classes), np.float32)


def _run_numpy(architecture: Architecture, parameters: Parameters, ids: np.ndarray) -> list[np.ndarray]:
    rows = max(1, CHUNK_IDS // max(1, ids.shape[1]))
    chunks = (ids[start : start + rows] for start in range(0, len(ids), rows))
    return [softmax(apply(architecture, parameters, Block(chunk[:, : max(1, _longest(chunk))]))) for chunk in chunks]


def _run_jax(architecture: Architecture, parameters: Parameters, ids: np.ndarray) -> list[np.ndarray]:
    """Chunks have few sizes, a quarter of the largest, a sixteenth and so on: another `n` seldom compiles anew."""
    run = _compiled()
    rows = 1 << (max(1, CHUNK_IDS // ids.shape[1]).bit_length() - 1)
    while rows // 4 >= max(1, len(ids)):
        rows //= 4
    chunks = []
    for start in range(0, len(ids), rows):
        chunk = ids[start : start + rows]
        width = max(16, -(-_longest(chunk) // 8) * 8)
        width = width if width + 8 <= ids.shape[1] else ids.shape[1]
        padded = np.zeros((rows, width), np.int32)
        padded[: len(chunk)] = chunk[:, :width]
        chunks.append((run(architecture, parameters, Block(padded)), len(chunk)))
    return [np.asarray(chunk)[:n] for chunk, n in chunks]


@cache
def _compiled() -> Any:
    import jax

    def probabilities(architecture: Architecture, parameters: Parameters, block: Block) -> Any:
        return jax.nn.softmax(apply(architecture, parameters, block))

    return jax.jit(probabilities, static_argnums=0)


def _longest(ids: np.ndarray) -> int:
    """Count the columns of `int32[n, width]` up to the last that holds more than padding."""
    return int(np.flatnonzero(ids.any(axis=0)).max(initial=-1)) + 1
