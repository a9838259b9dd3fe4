"""The classifier that users hold: text in, labels and probabilities out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from flaxtext.core.arrow import numpy_array, text_scalar
from flaxtext.model.architecture import Architecture, Parameters
from flaxtext.model.prediction import Backend, choose_backend, class_probabilities
from flaxtext.model.texts import as_texts
from flaxtext.model.tfidf import count_features, weigh
from flaxtext.text.features import FeatureIds, Features, bounds
from flaxtext.text.token_ids import TokenIds, number_words
from flaxtext.text.tokenizers import tokenize
from flaxtext.text.vocabulary import Vocabulary

EXPANDED_WORDS = 2**19
"""Words of documents whose features are listed at a time."""


@dataclass(frozen=True)
class ModelInfo:
    """What is known of a model beside what it computes.

    Attributes:
        classes: class names; column `i` of the probabilities is `classes[i]`.
        variant: its name in params.yaml.
        kind: what trained it: `network`, or `linear` for a support vector machine.
        seeds: how often it was trained, with a seed each.
        ensemble: whether it answers by the average of its seeds, and not by the first alone.
        data: the source, its checksums or versions, and how many documents were trained on and watched.
        training: the training parameters that it heeds.
        last_epoch: the epoch whose parameters were kept, and its figures on validation.
        versions: of the libraries that made it.
    """

    classes: list[str]
    variant: str = ""
    kind: Literal["network", "linear"] = "network"
    seeds: int = 1
    ensemble: bool = False
    data: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    last_epoch: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)


def arrange(architecture: Architecture, features: FeatureIds, idf: np.ndarray, reads: Features) -> FeatureIds:
    """Make of all features of documents what the forward pass takes: weighted, or less the padding between them.

    `idf: float32[rows]` is what each row weighs, where the pooling weighs.
    """
    if architecture.weighs:
        return weigh(count_features(features), idf, reads.first_character, reads.first_vector)
    return features if architecture.positions else features.closed_up()


class Classifier:
    """Text in, class labels and probabilities out.

    Attributes:
        classes_: class names, `object[classes]`; column `i` of the probabilities is `classes_[i]`.
        info: what is known of the model beside what it computes.
        architecture: names, sizes and shapes.
        members: the parameters of each seed, the first seed's first: layer -> name -> float32 array; not to be changed.
        vocabulary: the words it knows.
        features: what it reads in a document.
    """

    def __init__(
        self,
        info: ModelInfo,
        architecture: Architecture,
        members: list[Parameters],
        vocabulary: Vocabulary,
        features: Features,
    ) -> None:
        self.info = info
        self.architecture = architecture
        self.members = members
        self.vocabulary = vocabulary
        self.features = features

    @property
    def classes(self) -> list[str]:
        """The class names, as a list."""
        return self.info.classes

    @property
    def classes_(self) -> np.ndarray:
        """The class names, as scikit-learn has them."""
        return np.array(self.info.classes, dtype=object)

    @property
    def answering(self) -> list[Parameters]:
        """The parameters that an answer takes: all of an ensemble's, otherwise the first seed's."""
        return self.members if self.info.ensemble else self.members[:1]

    @property
    def is_linear(self) -> bool:
        """Whether a support vector machine trained it, and no network's steps."""
        return self.info.kind == "linear"

    @property
    def reads_unknown(self) -> bool:
        """Whether a word that the vocabulary lacks can matter to an answer; Keras' tokenizer drops it."""
        return self.vocabulary.tokenizer != "keras" and self.architecture.reading.reads_unknown

    @property
    def size(self) -> int:
        """The number of parameters that an answer takes."""
        return len(self.answering) * self.architecture.size

    @property
    def description(self) -> str:
        """What it is, in a line."""
        architecture = self.architecture
        reads = ["words"]
        if architecture.marks:
            reads.append("marks")
        if architecture.prefix:
            reads.append(f"prefixes of {architecture.prefix} letters")
        if architecture.ngrams > 1:
            lengths = "pairs" if architecture.ngrams == 2 else f"runs of up to {architecture.ngrams}"
            reads.append(f"{lengths} of {'prefixes' if architecture.prefix else 'words'}")
        if architecture.characters:
            reads.append(f"runs of up to {architecture.characters} characters")
        if architecture.vectors:
            reads.append("pretrained vectors")
        read = ", ".join(reads)
        if self.is_linear:
            return f"TF-IDF and a linear support vector machine, of {read}"
        seeds = f"; the average of {self.info.seeds} seeds" if self.info.ensemble else ""
        if not architecture.output:
            return f"{architecture.pooling} of {read}, each with a weight for every class{seeds}"
        layer = f", hidden layer of {architecture.hidden}" if architecture.hidden else ""
        return f"{architecture.pooling} of {architecture.embed_dim}-dimensional embeddings of {read}{layer}{seeds}"

    @property
    def reads(self) -> str:
        """How much it reads of a document, in a line."""
        known = "known " if self.vocabulary.tokenizer == "keras" else ""
        return f"the first {self.architecture.words:,} {known}words of a document count"

    def predict(self, texts: Any) -> np.ndarray:
        """Return the most probable label of each text, `object[n]`; None where the text is None or NaN.

        `texts` is a list or another iterable, a NumPy array, or a column of pandas or Arrow. Raises `TypeError` for
        anything else, and `ValueError` for half of a surrogate pair.
        """
        probability = self.predict_proba(texts)
        missing = np.isnan(probability[:, :1]).any(axis=1)
        labels: np.ndarray = self.classes_[np.where(missing, 0, probability.argmax(axis=1))]
        labels[missing] = None
        return labels

    def predict_proba(self, texts: Any) -> np.ndarray:
        """Return the class probabilities of texts, `float32[n, classes]`; NaN where the text is None or NaN.

        `texts` is what `predict` takes; raises what it raises.
        """
        strings = as_texts(texts)
        probability = self.probabilities(self.read(strings.fill_null(text_scalar(""))))
        probability[numpy_array(strings.is_null())] = np.nan
        return probability

    def read(self, texts: pa.StringArray) -> TokenIds:
        """Turn `texts: string[n]` into the words that the model reads, by id."""
        return self.cut(self.number(texts))

    def number(self, texts: pa.StringArray) -> TokenIds:
        """Turn `texts: string[n]` into the ids of all their words, and of their marks where the model reads marks."""
        return number_words(texts, self.vocabulary, marks=self.architecture.marks)

    def reach(self, documents: TokenIds) -> np.ndarray:
        """Tell which words of whole documents can matter to an answer, `bool[words]`; marks are no words."""
        is_word = documents.ids > 0
        known = is_word & (documents.ids < self.vocabulary.rows)
        is_read = known if self.vocabulary.tokenizer == "keras" else is_word  # others are dropped before the cut
        before: np.ndarray = np.append(0, np.cumsum(is_read))
        place = before[:-1] - np.repeat(before[documents.offsets[:-1]], documents.lengths)
        can_matter = is_read if self.reads_unknown else known
        reached: np.ndarray = can_matter & (place < self.architecture.words)
        return reached

    def cut(self, documents: TokenIds) -> TokenIds:
        """Take of whole documents what the model reads; of words as Keras finds them, unknown ones are dropped."""
        if self.vocabulary.tokenizer == "keras":
            documents = documents.known(self.vocabulary.rows)
        return documents.first(self.architecture.words)

    def probabilities(self, documents: TokenIds, backend: Backend | None = None) -> np.ndarray:
        """Class probabilities of documents as `read` gives them, `float32[n, classes]`: an ensemble's are averaged.

        `backend` says what computes them, except for weighted features, which are for NumPy; left out, their number
        decides. Raises `TypeError` for texts.
        """
        return self.combine(self.each(documents, len(self.answering), backend))

    def each(self, documents: TokenIds, members: int | None = None, backend: Backend | None = None) -> np.ndarray:
        """Class probabilities by each seed, or by the first `members`: `float32[members, n, classes]`."""
        if not isinstance(documents, TokenIds):
            raise TypeError(
                f"expected documents as read() gives them, got {type(documents).__name__}; predict_proba takes texts"
            )
        if self.architecture.weighs:
            backend = "numpy"
        backend = backend or choose_backend(len(documents.ids) * self.architecture.reading.per_word)
        chosen = (self._placed if backend == "jax" else self.members)[:members]
        parts = []
        for first, last in bounds(documents.offsets, EXPANDED_WORDS):
            features = self.features_of(documents[first:last])
            parts.append([class_probabilities(self.architecture, member, features, backend) for member in chosen])
        return np.stack([np.concatenate(own) for own in zip(*parts, strict=True)])

    def features_of(self, documents: TokenIds) -> FeatureIds:
        """List the rows of documents as `read` gives them, weighted where the pooling weighs."""
        idf = self.members[0]["embedding"].get("idf", np.zeros(0, np.float32))  # the same in all members
        return arrange(self.architecture, self.features.expand(documents), idf, self.features)

    def combine(self, each: np.ndarray) -> np.ndarray:
        """Make of `each` what the classifier answers: an ensemble's average, or else the first seed's."""
        answer: np.ndarray = each.mean(axis=0) if self.info.ensemble else each[0]
        return answer

    @cached_property
    def _placed(self) -> list[Parameters]:
        """The members where JAX reads them: every call copies NumPy arrays that are not aligned to 64 bytes."""
        import jax

        placed: list[Parameters] = jax.device_put(self.members)
        return placed

    def tokenize(self, texts: Any) -> list[list[str]]:
        """Split texts, as `predict` takes them, into words, those that it does not know included.

        Raises what `predict` raises.
        """
        strings = as_texts(texts).fill_null(text_scalar(""))
        words: list[list[str]] = tokenize(strings, self.vocabulary.tokenizer).to_pylist()
        return words

    def token_ids(self, tokens: Sequence[str]) -> np.ndarray:
        """Ids of words, `int32[len(tokens)]`: 0 for a word that it does not know. Raises `TypeError` for one string."""
        if isinstance(tokens, str):
            raise TypeError(f"expected words, got one string; pass a list, such as [{tokens[:20]!r}]")
        ids = self._ids
        return np.array([ids.get(token, 0) for token in tokens], np.int32)

    @cached_property
    def _ids(self) -> dict[str, int]:
        """Word -> id, for a few words at a time, where Arrow would hash the whole vocabulary anew."""
        return {word: index for index, word in enumerate(self.vocabulary.words.to_pylist(), start=1)}
