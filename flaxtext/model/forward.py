"""What a network answers, given its parameters: the one forward pass, on NumPy and on JAX."""

from collections.abc import Callable, Sequence
from operator import matmul
from typing import Any, NamedTuple

import numpy as np

from flaxtext.model.architecture import Architecture, Parameters
from flaxtext.model.poolings import POOLINGS, Array, Embedded, Parts, Repeated, Summed


class Block(NamedTuple):
    """Some documents as ids, of any width up to `Architecture.positions`.

    Attributes:
        ids: int32[n, width]; rows of the embedding table, 0 for padding.
        lengths: int32[n]; positions of each document before its padding; None where only its id tells padding.
    """

    ids: Array
    lengths: Array | None = None

    @classmethod
    def of(cls, ids: np.ndarray) -> "Block":
        """Take documents `int32[n, width]`, less the columns that hold padding in all of them."""
        is_word = ids != 0
        lengths = np.where(is_word.any(axis=1), ids.shape[1] - np.argmax(is_word[:, ::-1], axis=1), 0).astype(np.int32)
        return cls(ids[:, : max(1, int(lengths.max(initial=0)))], lengths)

    @property
    def present(self) -> Array:
        """Where words are, and no padding: `bool[n, width]`."""
        if self.lengths is None:
            return self.ids != 0
        xp = self.ids.__array_namespace__()
        return (self.ids != 0) & (xp.arange(self.ids.shape[1]) < self.lengths[:, None])


def apply(architecture: Architecture, parameters: Parameters, block: Block) -> Array:
    """Map documents to logits, `float32[n, classes]`; beyond the block's width they hold nothing but padding."""
    table = parameters["embedding"]["embedding"]
    rest = architecture.positions - block.ids.shape[1]
    documents = Embedded(rows_of(table, block.ids), block.present, table[0], rest)
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
    if architecture.pooling is None:
        raise ValueError("a linear model is no network: model.linear computes it")
    pool, output = POOLINGS[architecture.pooling].pool, parameters["output"]
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
