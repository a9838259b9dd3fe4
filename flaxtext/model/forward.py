"""What a network answers, given its parameters: the one forward pass, on NumPy and on JAX."""

from collections.abc import Callable, Sequence
from operator import matmul
from typing import Any, NamedTuple

import numpy as np

from flaxtext.model.architecture import Architecture, Parameters
from flaxtext.model.poolings import POOLINGS, Array, Embedded, Parts, Repeated, Summed


class Block(NamedTuple):
    """Some documents as rows of the embedding table, of any width up to `Architecture.positions`.

    Attributes:
        rows: int32[n, width]; 0 for padding.
        weights: float32[n, width]; what each row counts, for a pooling that weighs.
    """

    rows: Array
    weights: Array | None = None


def apply(architecture: Architecture, parameters: Parameters, block: Block) -> Array:
    """Map documents to logits, `float32[n, classes]`; beyond the block's width they hold nothing but padding."""
    table = parameters["embedding"]["embedding"]
    rest = (architecture.positions or block.rows.shape[1]) - block.rows.shape[1]
    documents = Embedded(rows_of(table, block.rows), block.rows != 0, table[0], rest, block.weights)
    return logits(architecture, parameters, [documents])


def logits(
    architecture: Architecture,
    parameters: Parameters,
    parts: Sequence[Embedded | Summed],
    multiply: Callable[[Array, Array], Array] = matmul,
) -> Array:
    """Map embedded documents, which may come in parts of different widths, to logits, `float32[n, classes]`.

    `multiply` multiplies the hidden layer's values by the kernel of the output layer.
    """
    pool, output = POOLINGS[architecture.pooling].pool, parameters["output"]
    if not architecture.output:
        scores = [pool(documents)[0] + output["bias"] for documents in parts]
        return scores[0] if len(scores) == 1 else scores[0].__array_namespace__().concat(scores)
    first = parameters["hidden"] if architecture.hidden else output
    turned = first["kernel"].T  # as it lies in training, so that nothing is copied there
    found = []
    for documents in parts:  # each goes its way up to the logits, so that a CPU takes them side by side
        values = dense(turned, first["bias"], pool(documents))
        if architecture.hidden:
            values = multiply(relu(values), output["kernel"]) + output["bias"]
        found.append(values)
    return found[0] if len(found) == 1 else turned.__array_namespace__().concat(found)


def dense(turned: Array, bias: Array, parts: Parts) -> Array:
    """Multiply the parts of a vector, which lie side by side, by a layer's kernel, and add its bias: `[n, outputs]`.

    The kernel is given turned, `float32[outputs, inputs]`. A part that all documents share is multiplied once.
    """
    sizes = [part.times * len(part.vector) if isinstance(part, Repeated) else part.shape[1] for part in parts]
    kernels = turned.__array_namespace__().split(turned, np.cumsum(sizes[:-1]), axis=1)
    products = [_product(part, kernel) for part, kernel in zip(parts, kernels, strict=True)]
    return sum(products[1:], products[0]) + bias


def _product(part: Any, kernel: Array) -> Array:
    """Multiply a part by its columns of a turned kernel, `[outputs, size]`."""
    if not isinstance(part, Repeated):
        return part @ kernel.T
    return kernel.reshape(len(kernel), part.times, len(part.vector)).sum(axis=1) @ part.vector + part.zero


def relu(values: Array) -> Array:
    """Return what is above 0, and 0 elsewhere. JAX has its own, which is a quarter of a pass faster than `where`."""
    if isinstance(values, np.ndarray):
        return np.maximum(values, 0)
    from jax import nn

    return nn.relu(values)


def rows_of(table: Array, ids: Array) -> Array:
    """Read rows of `table: [rows, ...]`: `[*ids.shape, ...]`.

    All ids are those of rows, and none counts from the end: JAX is told so, and compiles no checks.
    """
    if isinstance(table, np.ndarray):
        return table[ids]
    return table.at[ids].get(mode="promise_in_bounds", wrap_negative_indices=False)


def softmax(logits: Array) -> Array:
    """Turn `float32[n, classes]` into probabilities."""
    xp = logits.__array_namespace__()
    odds = xp.exp(logits - logits.max(axis=1, keepdims=True))
    return odds / odds.sum(axis=1, keepdims=True)
