"""Networks small enough to travel inside a web page: eight-bit embeddings, and what a page works out with them.

`flaxtext/templates/report.js` does the page's arithmetic; `Portable.probabilities` is the same in NumPy, and every
network is held against its model before it is let travel: a page shows a variant's numbers or leaves it out.
A new pooling is a function in `POOLINGS` here and one of the same name in report.js.
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from flaxtext.bundle import Classifier

TOLERANCE = 0.02
"""How far a probability may be from the model's."""

ONE_WORD = 200
"""Documents of one word that a network is tried on."""

EXACT_ROWS = 512
"""Embeddings that stay as they are: padding, which a document may hold fifty times, and the most frequent words."""


def flatten(embedded: np.ndarray) -> np.ndarray:
    """Lay the embeddings end to end."""
    return embedded.reshape(len(embedded), -1)


def mean(embedded: np.ndarray) -> np.ndarray:
    """Average over all positions, padding included."""
    pooled: np.ndarray = embedded.mean(axis=1)
    return pooled


def sum_(embedded: np.ndarray) -> np.ndarray:
    """Add up all positions, padding included."""
    pooled: np.ndarray = embedded.sum(axis=1)
    return pooled


POOLINGS: dict[str, Callable[[np.ndarray], np.ndarray]] = {"flatten": flatten, "mean": mean, "sum": sum_}
"""The poolings that a page knows: `float32[n, max_len, embed_dim]` to one row a document."""


class NotPortableError(Exception):
    """A model that a page cannot compute; the message says why, in a few words."""


@dataclass(frozen=True)
class Table:
    """A matrix of few bytes: `exact: float32[k, m]`, then the rows `scales[i] * values[i]`.

    `values: int8[n, m]` or `int16[n, m]`, `scales: float32[n]`.
    """

    exact: np.ndarray
    values: np.ndarray
    scales: np.ndarray

    @property
    def matrix(self) -> np.ndarray:
        """The matrix that the table stands for, `float32[k + n, m]`."""
        return np.concatenate([self.exact, self.values * self.scales[:, None]])

    def encode(self) -> dict[str, Any]:
        """Lay the table out for JSON."""
        arrays = {"exact": self.exact, "values": self.values, "scales": self.scales}
        bits = 8 * self.values.itemsize
        return {"columns": self.values.shape[1], "bits": bits, **{key: encode(array) for key, array in arrays.items()}}


def quantise(matrix: np.ndarray, kind: type[np.int8] | type[np.int16], exact: int = 0) -> Table:
    """Round `float32[n, m]` to steps of a row's largest value over 127 or 32,767, but for its first `exact` rows."""
    rest, steps = matrix[exact:], np.iinfo(kind).max
    scales = np.maximum(np.abs(rest).max(axis=1, initial=0) / steps, np.finfo(np.float32).tiny).astype(np.float32)
    return Table(matrix[:exact], np.rint(rest / scales[:, None]).astype(kind), scales)


@dataclass(frozen=True)
class Portable:
    """What a page needs of one network: its tables, `max_len` and the name of its pooling."""

    pooling: str
    max_len: int
    embedding: Table
    hidden: Table
    hidden_bias: np.ndarray
    output: Table
    output_bias: np.ndarray

    def probabilities(self, ids: np.ndarray) -> np.ndarray:
        """Class probabilities of `ids: int32[n, max_len]`, as the page computes them: `float32[n, classes]`."""
        pooled = POOLINGS[self.pooling](self.embedding.matrix[ids])
        hidden = np.maximum(pooled @ self.hidden.matrix + self.hidden_bias, 0)
        logits = hidden @ self.output.matrix + self.output_bias
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares: np.ndarray = odds / odds.sum(axis=1, keepdims=True)
        return shares

    def encode(self) -> dict[str, Any]:
        """Lay the network out for JSON: arrays as base64 of their little-endian bytes."""
        return {
            "pooling": self.pooling,
            "max_len": self.max_len,
            "embedding": self.embedding.encode(),
            "hidden": self.hidden.encode(),
            "hidden_bias": encode(self.hidden_bias),
            "output": self.output.encode(),
            "output_bias": encode(self.output_bias),
        }


def portable(model: Classifier, words: int, ids: np.ndarray) -> Portable:
    """Make `model` portable with its `words` most frequent words, and hold it against the model.

    `ids: int32[n, max_len]` are documents to try both on, ids up to `words` alone; documents of a single word, one for
    each of the most frequent, are tried too.

    Raises:
        NotPortableError: a kind of model that the page does not know, or one whose probabilities it misses by
            more than `TOLERANCE`.
    """
    pooling = str(model.config.get("pooling", "none"))
    if pooling not in POOLINGS:
        raise NotPortableError("this page does not know how to compute it")
    rows, width = model.vocabulary.rows, model.config.get("embed_dim", 0)
    pooled = width * model.max_len if pooling == "flatten" else width
    found = {(layer, name): array.shape for layer, arrays in model.parameters.items() for name, array in arrays.items()}
    units = found.get(("hidden", "bias"), (0,))[0]
    expected = {
        ("embedding", "embedding"): (rows, width),
        ("hidden", "kernel"): (pooled, units),
        ("hidden", "bias"): (units,),
        ("output", "kernel"): (units, len(model.classes)),
        ("output", "bias"): (len(model.classes),),
    }
    if found != expected:
        raise NotPortableError("this page does not know all of its layers")
    embedding, hidden, output = (model.parameters[layer] for layer in ("embedding", "hidden", "output"))
    network = Portable(
        pooling,
        model.max_len,
        quantise(np.asarray(embedding["embedding"])[: words + 1], np.int8, EXACT_ROWS),
        quantise(np.asarray(hidden["kernel"]), np.int16),
        np.asarray(hidden["bias"]),
        quantise(np.asarray(output["kernel"]), np.int16),
        np.asarray(output["bias"]),
    )
    one_word = np.zeros((1 + min(words, ONE_WORD), model.max_len), np.int32)
    one_word[:, 0] = np.arange(len(one_word))  # the first is empty
    ids = np.concatenate([ids, one_word])
    gap = np.abs(network.probabilities(ids) - model.probabilities(ids)).max(initial=0)
    if not gap <= TOLERANCE:
        raise NotPortableError(f"in few bits its probabilities are {gap:.2f} off")
    return network


def encode(array: np.ndarray) -> str:
    """Encode an array's little-endian bytes in base64."""
    return base64.b64encode(array.astype(array.dtype.newbyteorder("<")).tobytes()).decode("ascii")
