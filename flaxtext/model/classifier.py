"""The classifier that users hold: text in, labels and probabilities out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from flaxtext.core.arrow import numpy_array, text_scalar
from flaxtext.model.architecture import Architecture, Parameters
from flaxtext.model.prediction import Backend, choose_backend, class_probabilities
from flaxtext.model.texts import as_texts
from flaxtext.text.features import Features
from flaxtext.text.token_ids import number_words
from flaxtext.text.tokenizers import tokenize
from flaxtext.text.vocabulary import Vocabulary

EXPANDED_ROWS = 16_384
"""Documents whose features are laid out at a time."""


@dataclass(frozen=True)
class ModelInfo:
    """What is known of a model beside what it computes.

    Attributes:
        classes: class names; column `i` of the probabilities is `classes[i]`.
        variant: its name in params.yaml.
        seeds: how often it was trained, with a seed each.
        ensemble: whether it answers by the average of its seeds, and not by the first alone.
        data: the source, its checksums or versions, and how many documents were trained on and watched.
        training: the training parameters that it heeds.
        last_epoch: the epoch whose parameters were kept, and its figures on validation.
        versions: of the libraries that made it.
    """

    classes: list[str]
    variant: str = ""
    seeds: int = 1
    ensemble: bool = False
    data: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    last_epoch: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)


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
    def size(self) -> int:
        """The number of parameters that an answer takes."""
        return len(self.answering) * self.architecture.size

    @property
    def description(self) -> str:
        """What it is, in a line."""
        architecture = self.architecture
        reads = ["words"]
        if architecture.prefix:
            reads.append(f"prefixes of {architecture.prefix} letters")
        if architecture.ngrams > 1:
            lengths = "pairs" if architecture.ngrams == 2 else f"runs of up to {architecture.ngrams}"
            reads.append(f"{lengths} of {reads[-1].split()[0]}")
        if architecture.is_linear:
            return f"TF-IDF and a linear support vector machine, of {', '.join(reads)}"
        layer = f", hidden layer of {architecture.hidden}" if architecture.hidden else ""
        size = f"{architecture.embed_dim}-dimensional embeddings of {', '.join(reads)}"
        seeds = f"; the average of {self.info.seeds} seeds" if self.info.ensemble else ""
        return f"{architecture.pooling} of {size}{layer}{seeds}"

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
        probability = self.probabilities(self.cut(strings.fill_null(text_scalar(""))))
        probability[numpy_array(strings.is_null())] = np.nan
        return probability

    def cut(self, texts: pa.StringArray) -> np.ndarray:
        """Turn `texts: string[n]` into the rows that the model reads, `int32[n, max_len]`."""
        return number_words(texts, self.vocabulary).cut(self.architecture.max_len, self.vocabulary.rows)

    def probabilities(self, ids: np.ndarray, backend: Backend | None = None) -> np.ndarray:
        """Class probabilities of `ids: int32[n, max_len]`, `float32[n, classes]`: an ensemble's are averaged.

        `backend` says what computes them; left out, the number of ids decides. Raises `TypeError` for texts.
        """
        return self.combine(self.each(ids, len(self.answering), backend))

    def each(self, ids: np.ndarray, members: int | None = None, backend: Backend | None = None) -> np.ndarray:
        """Class probabilities by each seed, or by the first `members`: `float32[members, n, classes]`."""
        if getattr(ids, "ndim", 0) != 2 or getattr(getattr(ids, "dtype", None), "kind", "") not in ("i", "u"):
            raise TypeError(
                f"expected word ids, int32[n, max_len], got {type(ids).__name__}; predict_proba takes texts"
            )
        backend = backend or choose_backend(ids.size * self.architecture.per_word)
        chosen = (self._placed if backend == "jax" else self.members)[:members]
        parts = []
        for start in range(0, max(len(ids), 1), EXPANDED_ROWS):
            expanded = self.features.expand(ids[start : start + EXPANDED_ROWS])
            parts.append(
                np.stack([class_probabilities(self.architecture, member, expanded, backend) for member in chosen])
            )
        return np.concatenate(parts, axis=1)

    def combine(self, each: np.ndarray) -> np.ndarray:
        """Make of `each` what the classifier answers: an ensemble's average, or else the first seed's."""
        answer: np.ndarray = each.mean(axis=0) if self.info.ensemble else each[0]
        return answer

    @cached_property
    def _placed(self) -> list[Parameters]:
        """The members where JAX reads them: every call copies NumPy arrays that are not aligned to 64 bytes."""
        if self.architecture.is_linear:
            return self.members
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
