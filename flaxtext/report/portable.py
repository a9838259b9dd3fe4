"""Models small enough to travel inside a web page: their parameters, rounded, for the features that the page knows.

In the page, `templates/portable.js` computes with them. Here, the library's own forward pass does, on a model with
fewer rows; JSON fixtures hold the two together (tests/shared_fixtures.py). Every rounded model is compared with its
original before it is let travel: a page shows a variant's numbers or leaves it out.

Rounded numbers are deflated, so a coarser step takes fewer bytes. A model is rounded as coarsely as its
probabilities allow.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from flaxtext.model.architecture import Architecture, Parameters
from flaxtext.model.classifier import Classifier
from flaxtext.model.prediction import class_probabilities
from flaxtext.report.packing import pack_integers, pack_numbers
from flaxtext.text.features import Features

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


COMPUTED = ("flatten", "padded_mean", "padded_sum", "mean", "sum", "max", "mean_max", "attention")
"""The poolings that `portable.js` has; a variant with another one is left out."""


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
class RoundedTable:
    """A row for each feature: padding, which a document may hold many times, as it is; frequent words; the rest."""

    padding: np.ndarray
    frequent: Rounded
    rest: Rounded

    @classmethod
    def of(cls, matrix: np.ndarray, fraction: float) -> "RoundedTable":
        """Round `float32[rows, m]` to steps of a fraction of its standard deviation."""
        step = fraction * float(matrix.std())
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


class RoundedLayer(NamedTuple):
    """A dense layer, its bias as it is."""

    kernel: Rounded
    bias: np.ndarray

    @classmethod
    def of(cls, kernel: np.ndarray, bias: np.ndarray, fraction: float) -> "RoundedLayer":
        """Round a kernel to steps of a fraction of its standard deviation."""
        return cls(quantise(kernel, fraction / FINER * float(kernel.std())), bias)

    def encode(self) -> dict[str, Any]:
        """Lay the layer out for JSON."""
        return {"kernel": self.kernel.encode(), "bias": pack_numbers(self.bias)}


@dataclass(frozen=True)
class RoundedNetwork:
    """A network's embeddings, the name of its pooling, and its dense layers by name."""

    pooling: str
    embedding: RoundedTable
    layers: dict[str, RoundedLayer]

    @classmethod
    def of(cls, parameters: Parameters, pooling: str, rows: np.ndarray, fraction: float) -> "RoundedNetwork":
        """Round the parameters, and of embeddings those `rows`."""
        layers = {
            name: (np.asarray(layer["kernel"]), np.asarray(layer["bias"]))
            for name, layer in parameters.items()
            if name != "embedding"
        }
        table = np.asarray(parameters["embedding"]["embedding"])[rows]
        if "hidden" not in layers and pooling != "attention":  # which weighs words by what a dimension says
            kernel, bias = layers["output"]
            table, kernel = balance_dimensions(table, kernel)
            layers["output"] = kernel, bias
        rounded = {name: RoundedLayer.of(*layer, fraction) for name, layer in layers.items()}
        return cls(pooling, RoundedTable.of(table, fraction), rounded)

    @cached_property
    def parameters(self) -> Parameters:
        """The parameters that it stands for."""
        layers = {name: {"kernel": layer.kernel.matrix, "bias": layer.bias} for name, layer in self.layers.items()}
        return {"embedding": {"embedding": self.embedding.matrix}, **layers}

    def encode(self) -> dict[str, Any]:
        """Lay the network out for JSON."""
        layers = [self.layers[name].encode() for name in ("hidden", "output") if name in self.layers]
        return {"pooling": self.pooling, "embedding": self.embedding.encode(by_column=True), "layers": layers}


def balance_dimensions(table: np.ndarray, kernel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scale each dimension of embeddings by what it does to the logits, so that a step of each counts alike.

    The `kernel` of the output layer is scaled against it, so that the logits stay.
    """
    dims = table.shape[1]
    influence = np.linalg.norm(kernel.reshape(-1, dims, kernel.shape[1]), axis=(0, 2))
    scale = np.maximum(influence, 1e-3 * influence.max(initial=1e-30)).astype(np.float32)
    return table * scale, kernel / np.tile(scale, len(kernel) // dims)[:, None]


@dataclass(frozen=True)
class RoundedLinear:
    """A linear model: of each feature its idf, and that times its weights, whose errors then count alike.

    Weights and bias are divided by the temperature beforehand.
    """

    idf: RoundedTable
    weights: RoundedTable
    bias: np.ndarray

    @classmethod
    def of(cls, parameters: Parameters, rows: np.ndarray, fraction: float) -> "RoundedLinear":
        """Round the parameters of those `rows`."""
        idf, kernel, bias, temperature = (
            np.asarray(parameters["linear"][name]) for name in ("idf", "kernel", "bias", "temperature")
        )
        idf = idf[rows, None]
        rounded = RoundedTable.of(idf, fraction)
        # What has no idf adds nothing, to the page as to the model: no weight may be left where an idf is rounded to 0.
        weights = np.where(rounded.matrix, idf * kernel[rows] / temperature, 0)
        return cls(rounded, RoundedTable.of(weights, fraction), bias / temperature)

    @cached_property
    def parameters(self) -> Parameters:
        """The parameters that it stands for."""
        idf = self.idf.matrix
        kernel = np.divide(self.weights.matrix, idf, out=np.zeros_like(self.weights.matrix), where=idf != 0)
        return {"linear": {"idf": idf[:, 0], "kernel": kernel, "bias": self.bias, "temperature": np.float32(1)}}

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
    members: list[RoundedNetwork] | list[RoundedLinear]

    @property
    def ngrams(self) -> int:
        """How many n-grams the page knows."""
        return len(self.model.features.keys)

    @property
    def architecture(self) -> Architecture:
        """The model's architecture, with the rows that the page knows."""
        return replace(self.model.architecture, rows=len(self.rows))

    def probabilities(self, ids: np.ndarray) -> np.ndarray:
        """Class probabilities of `ids: int32[n, max_len]`, of known words, by the rounded parameters."""
        place = np.zeros(self.model.features.rows, np.int32)
        place[self.rows] = np.arange(len(self.rows))
        ids = place[self.model.features.expand(ids)]
        answers = [class_probabilities(self.architecture, own.parameters, ids, "numpy") for own in self.members]
        answer: np.ndarray = np.mean(answers, axis=0)
        return answer

    @cached_property
    def encoded(self) -> dict[str, Any]:
        """The variant, laid out for JSON. N-grams' keys ascend, and their differences are small."""
        architecture = self.model.architecture
        return {
            "max_len": architecture.max_len,
            "prefix": architecture.prefix,
            "first_prefix": self.model.vocabulary.rows,
            "ngrams": architecture.ngrams,
            "keys": pack_numbers(np.diff(self.model.features.keys, prepend=np.uint32(0))),
            "members": [member.encode() for member in self.members],
        }


def portable(model: Classifier, words: int, ids: np.ndarray) -> Portable:
    """Make `model` portable with its `words` most frequent words, and compare it with the model.

    `ids: int32[n, max_len]` are documents to try both on, ids up to `words` alone; documents of a single word, one for
    each of the most frequent, are tried too.

    Raises:
        NotPortableError: a pooling that the page does not know, or a model whose probabilities it would miss by more
            than `TOLERANCE`.
    """
    if model.architecture.pooling not in (None, *COMPUTED):
        raise NotPortableError("this page does not know how to compute it")
    rows = known_rows(model, words)
    one_word = np.zeros((1 + min(words, ONE_WORD), model.architecture.max_len), np.int32)
    one_word[:, 0] = np.arange(len(one_word))  # the first is empty
    ids = np.concatenate([ids, one_word])
    expected = model.probabilities(ids, backend="numpy")
    gap = np.inf
    for fraction in (1 / steps for steps in STEPS):
        found = _rounded(model, rows, fraction)
        gap = np.abs(found.probabilities(ids) - expected).max(initial=0)
        if gap <= AIM:
            return found
    if not gap <= TOLERANCE:
        raise NotPortableError(f"in few bits its probabilities are {gap:.2f} off")
    return found


def _rounded(model: Classifier, rows: np.ndarray, fraction: float) -> Portable:
    """Round a model's answering members to steps of a fraction of a standard deviation."""
    pooling = model.architecture.pooling
    if pooling is None:
        return Portable(model, rows, [RoundedLinear.of(member, rows, fraction) for member in model.answering])
    return Portable(model, rows, [RoundedNetwork.of(member, pooling, rows, fraction) for member in model.answering])


def known_rows(model: Classifier, words: int) -> np.ndarray:
    """Rows of the features that a page knows: padding, the first `words`, their prefixes, and all n-grams.

    Prefixes are numbered in order of first appearance, so those of the first words come first, too.
    """
    features = model.features
    prefixes, ngrams = model.vocabulary.rows, features.rows - len(features.keys)
    last = prefixes
    if model.architecture.prefix is not None:
        last = int(features.expand(np.arange(words + 1, dtype=np.int32)[:, None])[:, 1].max()) + 1
    return np.concatenate([np.arange(words + 1), np.arange(prefixes, last), np.arange(ngrams, features.rows)])


def with_fewer_ngrams(model: Classifier, limit: int) -> Classifier:
    """Return the model with no more than `limit` n-grams, the weightiest.

    In a linear model that is how often an n-gram occurs, which its idf tells, times what it adds to a margin; in a
    network, how far training took its embedding from zero.
    """
    keys = model.features.keys
    if len(keys) <= limit:
        return model
    first = model.features.rows - len(keys)
    if model.architecture.is_linear:
        idf, kernel = (np.asarray(model.members[0]["linear"][name])[first:] for name in ("idf", "kernel"))
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
    architecture = replace(model.architecture, rows=len(rows))
    features = Features(model.vocabulary.words, prefix=architecture.prefix, ngrams=architecture.ngrams, keys=keys[kept])
    return Classifier(model.info, architecture, members, model.vocabulary, features)


OF_ROWS = {"embedding": {"embedding"}, "linear": {"idf", "kernel"}, "hidden": set[str](), "output": set[str]()}
"""The parameters with a row for each feature, by layer."""
