"""Models small enough to travel inside a web page: rounded parameters, and what a page works out with them.

`templates/portable.js` does the page's arithmetic; `Portable.probabilities` is the same in NumPy, and every
model is held against its original before it is let travel: a page shows a variant's numbers or leaves it out.
A new pooling is a function in `POOLINGS` here and one of the same name in portable.js.

Rounded numbers are deflated, so a coarser step takes fewer bytes. A model is rounded as coarsely as its
probabilities allow.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from flaxtext.artifacts.bundle import Classifier, is_linear
from flaxtext.text.features import Features
from flaxtext.model.forward import Parameters
from flaxtext.model.linear import counts
from flaxtext.report.packing import pack_integers, pack_numbers

TOLERANCE = 0.02
"""How far a probability may be from the model's."""

AIM = 0.6 * TOLERANCE
"""How far it may be on the documents tried, if finer steps can help: others may be further off."""

STEPS = (4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 48, 64, 256)
"""Steps to try, by how many make a standard deviation of a matrix."""

FINER = 8
"""How many times finer the steps of frequent words and of dense layers are: their errors add up."""

FREQUENT = 1000
"""Words, the most frequent, that have finer steps."""

ONE_WORD = 200
"""Documents of one word that a model is tried on."""


def flatten(vectors: np.ndarray, _present: np.ndarray) -> np.ndarray:
    """Lay the embeddings end to end."""
    return vectors.reshape(len(vectors), -1)


def mean(vectors: np.ndarray, _present: np.ndarray) -> np.ndarray:
    """Average over all positions, padding included."""
    pooled: np.ndarray = vectors.mean(axis=1)
    return pooled


def sum_(vectors: np.ndarray, _present: np.ndarray) -> np.ndarray:
    """Add up all positions, padding included."""
    pooled: np.ndarray = vectors.sum(axis=1)
    return pooled


def masked_mean(vectors: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Average over the words alone; no words give zeros."""
    pooled: np.ndarray = (vectors * present[..., None]).sum(axis=1) / present.sum(axis=1).clip(1)[:, None]
    return pooled


def max_(vectors: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Take the largest value of each dimension over the words; no words give zeros."""
    largest = np.where(present[..., None], vectors, -np.inf).max(axis=1)
    pooled: np.ndarray = np.where(np.isfinite(largest), largest, 0)
    return pooled


def mean_max(vectors: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Lay `masked_mean` and `max` side by side."""
    return np.concatenate([masked_mean(vectors, present), max_(vectors, present)], axis=1)


def attention(vectors: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Average over the words, weighted by the softmax of each embedding's last value; no words give zeros."""
    scores = np.where(present, vectors[..., -1], -np.inf)
    odds = np.exp(scores - np.maximum(scores.max(axis=1), np.finfo(np.float32).min)[:, None])
    weights = odds / np.maximum(odds.sum(axis=1), np.finfo(np.float32).tiny)[:, None]
    pooled: np.ndarray = (vectors * weights[..., None]).sum(axis=1)
    return pooled


POOLINGS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "flatten": flatten,
    "mean": mean,
    "sum": sum_,
    "masked_mean": masked_mean,
    "max": max_,
    "mean_max": mean_max,
    "attention": attention,
}
"""The poolings that a page knows, of `float32[n, positions, embed_dim]` and where words are: a row a document."""


class NotPortableError(Exception):
    """A model that a page cannot compute; the message says why, in a few words."""


class Rounded(NamedTuple):
    """A matrix in whole steps: `values: int32[n, m]`, and the step's size."""

    values: np.ndarray
    step: float

    @property
    def matrix(self) -> np.ndarray:
        """The matrix that it stands for, `float32[n, m]`."""
        return (self.values * self.step).astype(np.float32)

    def encode(self, by_column: bool = False) -> dict[str, Any]:
        """Lay the matrix out for JSON, row after row, or column after column, which suits columns that differ."""
        values = self.values.T if by_column else self.values
        sizes = {"columns": self.values.shape[1], "by_column": by_column, "step": self.step}
        return {**sizes, "values": pack_integers(values)}


def quantise(matrix: np.ndarray, step: float) -> Rounded:
    """Round `float32[n, m]` to steps of a size; zeros, of no deviation, have steps of 1."""
    step = step or 1.0
    return Rounded(np.rint(matrix / step).astype(np.int32), step)


@dataclass(frozen=True)
class Table:
    """A row for each feature: padding, which a document may hold many times, as it is; frequent words; the rest."""

    padding: np.ndarray
    frequent: Rounded
    rest: Rounded

    @classmethod
    def of(cls, matrix: np.ndarray, share: float) -> "Table":
        """Round `float32[rows, m]` to steps of a share of its standard deviation."""
        step = share * float(matrix.std())
        frequent, rest = matrix[1 : FREQUENT + 1], matrix[FREQUENT + 1 :]
        return cls(matrix[0], quantise(frequent, step / FINER), quantise(rest, step))

    @cached_property
    def matrix(self) -> np.ndarray:
        """The table that it stands for, `float32[rows, m]`."""
        return np.concatenate([self.padding[None], self.frequent.matrix, self.rest.matrix])

    def encode(self, by_column: bool = False) -> dict[str, Any]:
        """Lay the table out for JSON."""
        return {
            "padding": pack_numbers(self.padding),
            "frequent": self.frequent.encode(by_column),
            "rest": self.rest.encode(by_column),
        }


class Layer(NamedTuple):
    """A dense layer."""

    kernel: Rounded
    bias: np.ndarray

    @classmethod
    def of(cls, kernel: np.ndarray, bias: np.ndarray, share: float) -> "Layer":
        """Round a kernel to steps of a share of its standard deviation."""
        return cls(quantise(kernel, share / FINER * float(kernel.std())), bias)

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """Map `float32[n, inputs]` to `float32[n, outputs]`."""
        outputs: np.ndarray = inputs @ self.kernel.matrix + self.bias
        return outputs

    def encode(self) -> dict[str, Any]:
        """Lay the layer out for JSON."""
        return {"kernel": self.kernel.encode(), "bias": pack_numbers(self.bias)}


@dataclass(frozen=True)
class Network:
    """A network's embeddings, the name of its pooling, and its dense layers, with relu between them."""

    pooling: str
    embedding: Table
    layers: list[Layer]

    @classmethod
    def of(cls, parameters: Parameters, pooling: str, rows: np.ndarray, share: float) -> "Network":
        """Round the parameters, and of embeddings those `rows`."""
        layers = [
            [np.asarray(parameters[name][array]) for array in ("kernel", "bias")]
            for name in ("hidden", "output")
            if name in parameters
        ]
        table = np.asarray(parameters["embedding"]["embedding"])[rows]
        if len(layers) == 1 and pooling != "attention":  # which weighs words by what a dimension says
            table, layers[0][0] = balanced(table, layers[0][0])
        return cls(pooling, Table.of(table, share), [Layer.of(kernel, bias, share) for kernel, bias in layers])

    def logits(self, ids: np.ndarray) -> np.ndarray:
        """Map rows of `embedding`, `int32[n, positions]`, to `float32[n, classes]`."""
        values = POOLINGS[self.pooling](self.embedding.matrix[ids], ids != 0)
        for layer in self.layers[:-1]:
            values = np.maximum(layer(values), 0)
        return self.layers[-1](values)

    def encode(self) -> dict[str, Any]:
        """Lay the network out for JSON."""
        layers = [layer.encode() for layer in self.layers]
        return {"pooling": self.pooling, "embedding": self.embedding.encode(by_column=True), "layers": layers}


def balanced(table: np.ndarray, kernel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scale each dimension of embeddings by what it does to the logits, so that a step of each counts alike.

    The `kernel` of the output layer is scaled against it, so that the logits stay.
    """
    dims = table.shape[1]
    influence = np.linalg.norm(kernel.reshape(-1, dims, kernel.shape[1]), axis=(0, 2))
    scale = np.maximum(influence, 1e-3 * influence.max(initial=1e-30)).astype(np.float32)
    return table * scale, kernel / np.tile(scale, len(kernel) // dims)[:, None]


@dataclass(frozen=True)
class Linear:
    """A linear model: of each feature its idf, and that times its weights; both those and the bias over temperature."""

    idf: Table
    weights: Table
    bias: np.ndarray

    @classmethod
    def of(cls, parameters: Parameters, rows: np.ndarray, share: float) -> "Linear":
        """Round the parameters of those `rows`."""
        idf, kernel, bias, temperature = (
            np.asarray(parameters["linear"][name]) for name in ("idf", "kernel", "bias", "temperature")
        )
        idf = idf[rows, None]
        return cls(Table.of(idf, share), Table.of(idf * kernel[rows] / temperature, share), bias / temperature)

    def logits(self, ids: np.ndarray) -> np.ndarray:
        """Map rows of the tables, `int32[n, positions]`, to `float32[n, classes]`."""
        counted = counts(ids, len(self.idf.matrix))
        norms = np.sqrt(np.asarray(counted.multiply(self.idf.matrix[:, 0]).power(2).sum(axis=1)))[:, None]
        margins: np.ndarray = counted @ self.weights.matrix / np.maximum(norms, 1e-12) + self.bias
        return margins

    def encode(self) -> dict[str, Any]:
        """Lay the model out for JSON."""
        return {"idf": self.idf.encode(), "weights": self.weights.encode(), "bias": pack_numbers(self.bias)}


@dataclass(frozen=True)
class Portable:
    """What a page needs of one variant.

    Attributes:
        model: with the n-grams that the page knows.
        rows: int64[k]; the features that the page knows (`known_rows`), in the order of the members' tables.
        members: of each seed that answers, its rounded parameters.
    """

    model: Classifier
    rows: np.ndarray
    members: list[Network] | list[Linear]

    @property
    def ngrams(self) -> int:
        """How many n-grams the page knows."""
        return len(self.model.features.keys)

    def probabilities(self, ids: np.ndarray) -> np.ndarray:
        """Class probabilities of `ids: int32[n, max_len]`, of known words, as the page works them out."""
        place = np.zeros(self.model.features.rows, np.int32)
        place[self.rows] = np.arange(len(self.rows))
        ids = place[self.model.features.expand(ids)]
        shares: np.ndarray = np.mean([_softmax(member.logits(ids)) for member in self.members], axis=0)
        return shares

    @cached_property
    def encoded(self) -> dict[str, Any]:
        """The variant, laid out for JSON. N-grams' keys ascend, and their differences are small."""
        config = self.model.config
        return {
            "max_len": self.model.max_len,
            "stem": config.get("stem"),
            "first_stem": self.model.vocabulary.rows,
            "ngrams": config.get("ngrams", 1),
            "keys": pack_numbers(np.diff(self.model.features.keys, prepend=np.uint32(0))),
            "members": [member.encode() for member in self.members],
        }


def portable(model: Classifier, words: int, ids: np.ndarray) -> Portable:
    """Make `model` portable with its `words` most frequent words, and hold it against the model.

    `ids: int32[n, max_len]` are documents to try both on, ids up to `words` alone; documents of a single word, one for
    each of the most frequent, are tried too.

    Raises:
        NotPortableError: a kind of model that the page does not know, or one whose probabilities it misses by
            more than `TOLERANCE`.
    """
    linear, pooling = is_linear(model.config), str(model.config.get("pooling"))
    if not linear and pooling not in POOLINGS:
        raise NotPortableError("this page does not know how to compute it")
    members = model.members if model.config.get("ensemble") else model.members[:1]
    rows = known_rows(model, words)
    one_word = np.zeros((1 + min(words, ONE_WORD), model.max_len), np.int32)
    one_word[:, 0] = np.arange(len(one_word))  # the first is empty
    ids = np.concatenate([ids, one_word])
    expected = model.probabilities(ids)
    gap = np.inf
    for share in (1 / steps for steps in STEPS):
        rounded = (
            [Linear.of(member, rows, share) for member in members]
            if linear
            else [Network.of(member, pooling, rows, share) for member in members]
        )
        found = Portable(model, rows, rounded)
        gap = np.abs(found.probabilities(ids) - expected).max(initial=0)
        if gap <= AIM:
            return found
    if not gap <= TOLERANCE:
        raise NotPortableError(f"in few bits its probabilities are {gap:.2f} off")
    return found


def known_rows(model: Classifier, words: int) -> np.ndarray:
    """Rows of the features that a page knows: padding, the first `words`, their stems, and all n-grams.

    Stems are numbered in order of first appearance, so those of the first words come first, too.
    """
    features = model.features
    stems, ngrams = model.vocabulary.rows, features.rows - len(features.keys)
    last = stems
    if model.config.get("stem"):
        last = int(features.expand(np.arange(words + 1, dtype=np.int32)[:, None])[:, 1].max()) + 1
    return np.concatenate([np.arange(words + 1), np.arange(stems, last), np.arange(ngrams, features.rows)])


def with_fewer_ngrams(model: Classifier, limit: int) -> Classifier:
    """Return the model with no more than `limit` n-grams, the weightiest.

    In a linear model that is how often an n-gram occurs, which its idf tells, times what it adds to a margin; in a
    network, how far training took its embedding from zero.
    """
    keys = model.features.keys
    if len(keys) <= limit:
        return model
    first = model.features.rows - len(keys)
    if is_linear(model.config):
        idf, kernel = (np.asarray(model.parameters["linear"][name])[first:] for name in ("idf", "kernel"))
        weight = np.exp(-idf) * idf * np.abs(kernel).max(axis=1)
    else:
        tables = [np.asarray(member["embedding"]["embedding"])[first:] for member in model.members]
        weight = np.sum([np.linalg.norm(table, axis=1) for table in tables], axis=0)
    kept = np.sort(np.argsort(-weight, kind="stable")[:limit])
    rows = np.concatenate([np.arange(first), first + kept])
    members = [
        {
            layer: {name: np.asarray(array)[rows] if name in OF_ROWS[layer] else array for name, array in own.items()}
            for layer, own in member.items()
        }
        for member in model.members
    ]
    features = Features(
        model.vocabulary.words, stem=model.config.get("stem"), ngrams=model.config.get("ngrams", 1), keys=keys[kept]
    )
    return Classifier(model.config, members, model.vocabulary, features)


OF_ROWS = {"embedding": {"embedding"}, "linear": {"idf", "kernel"}, "hidden": set[str](), "output": set[str]()}
"""The parameters with a row for each feature, by layer."""


def _softmax(logits: np.ndarray) -> np.ndarray:
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: np.ndarray = odds / odds.sum(axis=1, keepdims=True)
    return shares
