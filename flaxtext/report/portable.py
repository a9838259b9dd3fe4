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

from flaxtext.model.architecture import Parameters
from flaxtext.model.classifier import Classifier
from flaxtext.model.prediction import class_probabilities
from flaxtext.model.tfidf import count_features, weigh
from flaxtext.report.packing import pack_integers, pack_numbers
from flaxtext.text.features import FeatureIds, Features
from flaxtext.text.token_ids import TokenIds
from flaxtext.text.vocabulary import Vocabulary

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

MAX_VALUES = 2**22
"""Values of embeddings that a page may be asked to hold of one variant: a byte of the page each, or less."""

COMPUTED = ("flatten", "padded_mean", "padded_sum", "mean", "sum", "max", "mean_max", "attention", "tfidf")
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
    """A network's embeddings, its dense layers by name, and the bias of the classes, for one without layers.

    Where features are weighted, the embeddings are multiplied by the inverse document frequencies, so that the errors
    of both count alike.
    """

    embedding: RoundedTable
    layers: dict[str, RoundedLayer]
    bias: np.ndarray

    @classmethod
    def of(cls, parameters: Parameters, pooling: str, idf: np.ndarray | None, fraction: float) -> "RoundedNetwork":
        """Round the parameters, given `idf: float32[rows]` as the page has it, where there is one."""
        layers = {
            name: (np.asarray(layer["kernel"]), np.asarray(layer["bias"]))
            for name, layer in parameters.items()
            if "kernel" in layer
        }
        table = np.asarray(parameters["embedding"]["embedding"])
        if idf is not None:
            # What has no idf adds nothing, to the page as to the model: nothing may be left where one is rounded to 0.
            table = np.where(idf[:, None], np.asarray(parameters["embedding"]["idf"])[:, None] * table, 0)
        if list(layers) == ["output"] and pooling != "attention":  # which weighs words by what a dimension says
            kernel, bias = layers["output"]
            table, kernel = balance_dimensions(table, kernel)
            layers["output"] = kernel, bias
        rounded = {name: RoundedLayer.of(*layer, fraction) for name, layer in layers.items()}
        return cls(RoundedTable.of(table, fraction), rounded, np.asarray(parameters["output"]["bias"]))

    def parameters(self, idf: np.ndarray | None) -> Parameters:
        """The parameters that it stands for, given the idf that it was made with."""
        table = self.embedding.matrix
        if idf is not None:
            table = np.divide(table, idf[:, None], out=np.zeros_like(table), where=idf[:, None] != 0)
        layers = {name: {"kernel": layer.kernel.matrix, "bias": layer.bias} for name, layer in self.layers.items()}
        own = {"embedding": table} | ({} if idf is None else {"idf": idf})
        return {"embedding": own, **(layers or {"output": {"bias": self.bias}})}

    def encode(self) -> dict[str, Any]:
        """Lay the network out for JSON."""
        return {
            "embedding": self.embedding.encode(by_column=True),
            "layers": [self.layers[name].encode() for name in ("hidden", "output") if name in self.layers],
            "bias": None if self.layers else pack_numbers(self.bias),
        }


def balance_dimensions(table: np.ndarray, kernel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scale each dimension of embeddings by what it does to the logits, so that a step of each counts alike.

    The `kernel` of the output layer is scaled against it, so that the logits stay.
    """
    dims = table.shape[1]
    influence = np.linalg.norm(kernel.reshape(-1, dims, kernel.shape[1]), axis=(0, 2))
    scale = np.maximum(influence, 1e-3 * influence.max(initial=1e-30)).astype(np.float32)
    return table * scale, kernel / np.tile(scale, len(kernel) // dims)[:, None]


@dataclass(frozen=True)
class Portable:
    """What a page needs of one variant.

    Attributes:
        model: with the words and n-grams that the page knows.
        members: of each seed that answers, its rounded parameters.
        idf: the inverse document frequency of each feature, where features are weighted.
    """

    model: Classifier
    members: list[RoundedNetwork]
    idf: RoundedTable | None = None

    @classmethod
    def of(cls, model: Classifier, fraction: float) -> "Portable":
        """Round a model to steps of a fraction of a standard deviation."""
        idf = None
        if model.architecture.weighs:
            idf = RoundedTable.of(np.asarray(model.members[0]["embedding"]["idf"])[:, None], fraction)
        column = None if idf is None else idf.matrix[:, 0]
        pooling = model.architecture.pooling
        return cls(model, [RoundedNetwork.of(own, pooling, column, fraction) for own in model.answering], idf)

    @property
    def ngrams(self) -> int:
        """How many n-grams the page knows, of words and of characters."""
        return count_ngrams(self.model.features)

    def probabilities(self, expanded: FeatureIds) -> np.ndarray:
        """Class probabilities of documents that `expand` has listed, by the rounded parameters."""
        column = None if self.idf is None else self.idf.matrix[:, 0]
        if column is not None:
            expanded = _weigh(self.model, expanded, column)
        architecture = self.model.architecture
        answers = [class_probabilities(architecture, own.parameters(column), expanded, "numpy") for own in self.members]
        answer: np.ndarray = np.mean(answers, axis=0)
        return answer

    @cached_property
    def encoded(self) -> dict[str, Any]:
        """The variant, laid out for JSON. N-grams' keys ascend, and their differences are small."""
        architecture, features = self.model.architecture, self.model.features
        return {
            "max_len": architecture.words,
            "padded": architecture.positions is not None,
            "drops_unknown": self.model.vocabulary.tokenizer == "keras",
            "prefix": architecture.prefix,
            "ngrams": architecture.ngrams,
            "marks": architecture.marks,
            "characters": architecture.characters,
            "vectors": architecture.vectors,
            "n_known": features.n_known,
            "ngram_keys": _pack_keys(features.ngrams),
            "character_keys": _pack_keys(features.characters),
            "vector_ids": _pack_keys(features.vectors.astype(np.uint32)),
            "pooling": architecture.pooling,
            "idf": None if self.idf is None else self.idf.encode(),
            "members": [member.encode() for member in self.members],
        }


def _pack_keys(keys: np.ndarray) -> str:
    return pack_numbers(np.diff(keys, prepend=np.uint32(0)))


def count_ngrams(features: Features) -> int:
    """Count the n-grams that have a row, of words and of characters."""
    return len(features.ngrams) + len(features.characters)


def expand(model: Classifier, documents: TokenIds) -> FeatureIds:
    """List the features of documents as `Classifier.read` gives them: counted, where the pooling weighs them."""
    if model.architecture.weighs:
        return count_features(model.features.expand(documents))
    return model.features_of(documents)


def _weigh(model: Classifier, counted: FeatureIds, idf: np.ndarray) -> FeatureIds:
    return weigh(counted, idf, model.features.first_character, model.features.first_vector)


def portable(model: Classifier, documents: TokenIds) -> Portable:
    """Make `model`, which `lighten` has made small, portable, and compare it with itself.

    `documents`, as the model reads them, are what both are tried on, with documents of a single word, one for each of
    the most frequent words.

    Raises:
        NotPortableError: a pooling that the page does not know, or a model whose probabilities it would miss by more
            than `TOLERANCE`.
    """
    if model.architecture.pooling not in COMPUTED:
        raise NotPortableError("this page does not know how to compute it")
    words = np.arange(1, 1 + min(len(model.vocabulary), ONE_WORD), dtype=np.int32)
    one_word = expand(model, TokenIds(words, np.append(0, np.arange(len(words) + 1))))  # the first is empty
    expanded = FeatureIds.together([expand(model, documents), one_word])
    expected = answer(model, expanded)
    gap = np.inf
    for fraction in (1 / steps for steps in STEPS):
        found = Portable.of(model, fraction)
        gap = np.abs(found.probabilities(expanded) - expected).max(initial=0)
        if gap <= AIM:
            return found
    if not gap <= TOLERANCE:
        raise NotPortableError(f"in few bits its probabilities are {gap:.2f} off")
    return found


def answer(model: Classifier, expanded: FeatureIds) -> np.ndarray:
    """Class probabilities of documents that `expand` has listed, by the model."""
    if model.architecture.weighs:
        idf = np.asarray(model.members[0]["embedding"]["idf"])
        expanded = _weigh(model, expanded, idf)
    answers = [class_probabilities(model.architecture, own, expanded, "numpy") for own in model.answering]
    return model.combine(np.stack(answers))


def lighten(model: Classifier, words: int, limit: int) -> Classifier:
    """Return the model with its `words` most frequent words, their prefixes, and `limit` n-grams, the weightiest.

    It reads documents as one that was trained with so few. N-grams of words and of characters share the limit.
    """
    whole = model.features
    words, limit = min(words, len(model.vocabulary)), max(0, limit)
    if words == len(model.vocabulary) and count_ngrams(whole) <= limit:
        return model
    kept = np.sort(np.argsort(-_weights(model), kind="stable")[:limit])
    of_words = kept < len(whole.ngrams)
    features = Features(
        model.vocabulary.words.slice(0, words),
        model.architecture.reading,
        whole.ngrams[kept[of_words]],
        whole.characters[kept[~of_words] - len(whole.ngrams)],
        whole.vectors[whole.vectors <= words],
        n_known=min(words, whole.n_known),
    )
    # Prefixes are numbered in order of first appearance, so those of the first words come first.
    prefixes = features.first_ngram - features.n_known - 1
    parts = [
        np.arange(features.n_known + 1),
        whole.n_known + 1 + np.arange(prefixes),
        whole.first_ngram + kept,
        whole.first_vector + np.arange(len(features.vectors)),
    ]
    rows = np.concatenate(parts)
    members = [
        {**own, "embedding": {name: np.asarray(array)[rows] for name, array in own["embedding"].items()}}
        for own in model.members
    ]
    vocabulary = Vocabulary(features.words, model.vocabulary.counts[:words], model.vocabulary.tokenizer)
    return Classifier(model.info, replace(model.architecture, rows=len(rows)), members, vocabulary, features)


def _weights(model: Classifier) -> np.ndarray:
    """Tell how much each n-gram matters, `float[ngrams]`.

    Where features are weighted that is how often an n-gram occurs, which its idf tells, times what it adds to a logit;
    elsewhere, how far training took its embedding from zero.
    """
    ngrams = slice(model.features.first_ngram, model.features.first_vector)
    tables = [np.asarray(member["embedding"]["embedding"])[ngrams] for member in model.members]
    if not model.architecture.weighs:
        found: np.ndarray = np.sum([np.linalg.norm(table, axis=1) for table in tables], axis=0)
        return found
    idf = np.asarray(model.members[0]["embedding"]["idf"])[ngrams]
    largest = np.sum([np.abs(table).max(axis=1, initial=0) for table in tables], axis=0)
    weights: np.ndarray = np.exp(-idf) * idf * largest
    return weights
