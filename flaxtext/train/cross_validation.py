"""Cross-validation: what a variant answers about each document when it has learned from others alone."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from flaxtext.artifacts.pretrained import NONE
from flaxtext.config.build_vocab import BuildVocab
from flaxtext.config.train import NetworkVariant, Variant
from flaxtext.config.vectorize import Vectorize
from flaxtext.core.errors import UserError
from flaxtext.io.word_vectors import find_vectors
from flaxtext.model.classifier import Classifier
from flaxtext.text.token_ids import Examples, UnknownWords, choose_validation, concatenate
from flaxtext.text.vocabulary import fit_vocabulary
from flaxtext.train.variants import Say, train_variant

Texts = Callable[[], Iterable[pa.StringArray]]
"""Gives the texts of all documents, `string[rows]` a batch, each time that it is called."""


class CrossValidated(NamedTuple):
    """What was answered about each document by a model that has not seen it.

    Attributes:
        probabilities: float32[n, classes].
        folds: int32[n]; the fold of each document, from 0.
    """

    probabilities: np.ndarray
    folds: np.ndarray


class Settings(NamedTuple):
    """What of params.yaml says how documents become a classifier.

    Attributes:
        variant: what is trained.
        build_vocab: how words are found and counted, and which vectors a variant with `pretrained` starts from.
        vectorize: which documents are held out.
        name: of the variant, in messages.
    """

    variant: Variant
    build_vocab: BuildVocab
    vectorize: Vectorize
    name: str


def cross_validate(
    settings: Settings,
    texts: Texts,
    labels: np.ndarray,
    classes: list[str],
    *,
    folds: int = 5,
    seed: int = 0,
    say: Say = lambda _: None,
) -> CrossValidated:
    """Train once for each fold, on the documents of all others (`train_on`), and let the model answer about the fold's.

    Texts are read batch by batch, and one model is held at a time. The same seeds give the same folds and, on the same
    machine, the same probabilities.

    Args:
        settings: what is trained, and how.
        texts: `Corpus.texts`, say; called several times for each fold.
        labels: `int32[n]`, indices into `classes`. In the fold of a class's only document, nothing is known of it.
        classes: names.
        folds: their number, from 2 to that of the documents.
        seed: of the choice of folds.
        say: called with each line of progress.

    Raises:
        UserError: there are not as many documents as folds, there is no word, or a model cannot be trained
            (`train_variant`).
    """
    numbers = choose_folds(labels, folds, seed)
    probabilities = np.zeros((len(labels), len(classes)), np.float32)
    for fold in range(folds):
        say(f"{settings.name}: fold {fold + 1} of {folds}")
        is_out = numbers == fold
        model = train_on(settings, texts, labels, classes, ~is_out, say=say)
        probabilities[is_out] = answer(model, texts, is_out)
    return CrossValidated(probabilities, numbers)


def choose_folds(labels: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Part documents of `labels: int32[n]` into folds, `int32[n]` from 0, each class as evenly as can be.

    Of a class, and of all documents, no fold has two more than another. Where a class has fewer documents than there
    are folds, some folds have none of it. Raises `UserError` where there are not as many documents as folds.
    """
    if not 2 <= folds <= len(labels):
        raise UserError(f"cross-validation: {folds} folds of {len(labels)} documents; take 2 to as many as there are")
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    numbers = np.empty(len(labels), np.int32)
    numbers[by_class] = np.arange(len(labels)) % folds  # a class goes on where the one before ends
    return numbers


def train_on(
    settings: Settings,
    texts: Texts,
    labels: np.ndarray,
    classes: list[str],
    is_chosen: np.ndarray,
    *,
    say: Say = lambda _: None,
) -> Classifier:
    """Train on the documents of `bool[n]` alone, and learn all anew, as the stages do.

    That is vocabulary, features, ratios, network, and the temperature of its probabilities. A fraction of the
    documents, `vectorize.validation`, is held out for patience and calibration, unless the variant watches the test
    split, which there is none of here. They alone make the vocabulary, whatever `build_vocab.fit_on` says.

    Raises:
        UserError: there is no word, or a model cannot be trained (`train_variant`).
    """
    variant, section = settings.variant, settings.build_vocab
    words = fit_vocabulary(_chosen(texts, is_chosen), section.max_words, section.min_count, section.tokenizer)
    if not len(words):
        raise UserError(f"{settings.name}: no word is left; lower build_vocab.min_count or look at the texts")
    known = NONE
    if isinstance(variant, NetworkVariant) and variant.pretrained and section.vectors:
        known = find_vectors(section.vectors, words, section.max_words)
    unknown, own = UnknownWords(words), labels[is_chosen]
    parts = [documents for documents, _ in unknown.number((batch, own) for batch in _chosen(texts, is_chosen))]
    examples = Examples(concatenate(parts, unknown.words), own)
    fraction = settings.vectorize.validation if variant.validation_from == "train" else 0.0
    held_out = choose_validation(own, fraction, settings.vectorize.seed)
    return train_variant(
        variant,
        examples.select(~held_out),
        examples.select(held_out),
        name=settings.name,
        words=words,
        classes=classes,
        origin={"source": "cross-validation"},
        known=known,
        say=say,
    ).model


def answer(model: Classifier, texts: Texts, is_chosen: np.ndarray) -> np.ndarray:
    """Let a model answer about the documents of `bool[n]`: `float32[chosen, classes]`, in their order."""
    empty = np.zeros((0, len(model.classes)), np.float32)
    return np.concatenate([empty, *(model.predict_proba(batch) for batch in _chosen(texts, is_chosen) if len(batch))])


def _chosen(texts: Texts, is_chosen: np.ndarray) -> Iterator[pa.StringArray]:
    """Yield the texts of the documents of `bool[n]`, batch by batch. Raises `ValueError` where there are not n."""
    first = 0
    for batch in texts():
        last = first + len(batch)
        yield batch.filter(pa.array(is_chosen[first:last]))
        first = last
    if first != len(is_chosen):
        raise ValueError(f"{len(is_chosen):,} documents were expected, and {first:,} texts came")
