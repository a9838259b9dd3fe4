"""flaxtext's training, predictions and explanations, through its public functions."""

import time
from collections.abc import Sequence
from functools import partial
from statistics import median
from typing import Any

import jax
import numpy as np

from bench import PROJECT
from bench.documents import Split, read
from bench.measure import peak_memory
from bench.our_token_ids import MAX_LEN, Files, batches, number
from flaxtext.config.train import NetworkVariant, Variant, read_variant
from flaxtext.config.vectorize import Vectorize
from flaxtext.explain.documents import read_documents
from flaxtext.explain.explanation import explain
from flaxtext.model.architecture import Architecture
from flaxtext.model.classifier import Classifier, ModelInfo
from flaxtext.model.shortening import answer_shortened
from flaxtext.model.texts import as_texts
from flaxtext.text.features import FeatureIds, Features, Reading
from flaxtext.text.token_ids import Examples, TokenIds, choose_validation
from flaxtext.text.vocabulary import Vocabulary, fit_vocabulary
from flaxtext.train.loop import Watched, fit_network
from flaxtext.train.network import build
from flaxtext.train.variants import train_variant

EPOCHS = 15
VARIANTS: dict[str, dict[str, Any]] = {
    "flatten_10": {"pooling": "flatten", "embed_dim": 10},
    "flatten_20": {"pooling": "flatten", "embed_dim": 20},
    "average_20": {"pooling": "padded_mean", "embed_dim": 20},
    "sum_20": {"pooling": "padded_sum", "embed_dim": 20},
}


class Fit:
    """A variant, trained with the tutorial's settings and without validation.

    Attributes:
        seconds: of each epoch.
        outset: seconds before the first epoch: layout, initial parameters, compilation.
        losses: of each epoch, the mean of its batches' losses.
    """

    def __init__(
        self,
        variant: str,
        rows: int,
        classes: Sequence[str],
        train: Examples,
        *,
        epochs: int = EPOCHS,
        shuffle: bool = False,
        batch_size: int = 1024,
        max_len: int = MAX_LEN,
    ) -> None:
        settings = NetworkVariant(shuffle=shuffle, batch_size=batch_size, max_len=max_len, **VARIANTS[variant])
        self.classes = list(classes)
        self.architecture = outline(variant, rows, len(self.classes), max_len)
        documents = Watched(FeatureIds(train.documents.ids, train.documents.offsets), train.labels)
        self.seconds: list[float] = []
        started = time.perf_counter()
        self.parameters, history = fit_network(
            self.architecture,
            partial(build, self.architecture, seed=0),
            documents,
            Watched(documents.features.part(0, 0), train.labels[:0]),
            settings,
            seed=0,
            epochs=epochs,
            report=lambda _, seconds: self.seconds.append(seconds),
        )
        self.outset = time.perf_counter() - started - sum(self.seconds)
        self.losses = [epoch.batch_loss for epoch in history]

    @property
    def steady(self) -> float:
        """Seconds of an epoch after the first, the median."""
        return median(self.seconds[1:])

    def classifier(self, words: Vocabulary) -> Classifier:
        """Make what a loaded bundle is: the trained network as it predicts from text."""
        members = [jax.tree.map(np.asarray, self.parameters)]
        info, features = ModelInfo(self.classes), Features(words.words, Reading())
        return Classifier(info, self.architecture, members, words, features)


def outline(variant: str, rows: int, classes: int, max_len: int) -> Architecture:
    """Describe a variant's network."""
    return Architecture(rows=rows, classes=classes, max_len=max_len, hidden=100, **VARIANTS[variant])


def answers(model: Classifier, documents: TokenIds) -> np.ndarray:
    """Predict documents as the stages do, which always do so by JAX where they can: `float32[n, classes]`."""
    return model.probabilities(model.cut(documents), backend="jax")


def predict(model: Classifier, texts: list[str]) -> np.ndarray:
    """Predict texts as the stages do: `float32[n, classes]`."""
    return answers(model, model.number(as_texts(texts)))


def is_right(model: Classifier, test: Examples) -> np.ndarray:
    """Which documents get the right class, `bool[n]`."""
    correct: np.ndarray = answers(model, test.documents).argmax(axis=1) == test.labels
    return correct


def lime(model: Classifier, text: str, label: int) -> list[str]:
    """Explain a class of one text with 5,000 samples: ten words, largest weight first."""
    [document] = read_documents(model, {0: text})
    explanation = explain(
        document,
        partial(answer_shortened, model, backend="jax"),
        [label],
        samples=5000,
        words=10,
        rng=np.random.default_rng(0),
    )
    return [explanation.words[index] for index in explanation.models[0].indices]


class EndToEnd:
    """Vocabulary, token ids, training of average_20 and predictions, in memory.

    Attributes:
        accuracy: on test, after `run`.
    """

    def __init__(self, train: Split, test: Split, classes: Sequence[str]) -> None:
        self.train, self.test, self.classes = train, test, classes
        self.accuracy = float("nan")

    def run(self) -> None:
        """Do it all once."""
        words = fit_vocabulary(batches(self.train.texts), tokenizer="keras")
        train, test = (Examples(number(texts, words), labels) for texts, labels in (self.train, self.test))
        model = Fit("average_20", words.rows, self.classes, train).classifier(words)
        self.accuracy = float(is_right(model, test).mean())


def end_to_end(folder: str) -> dict[str, float]:
    """`EndToEnd` once, from files, for its memory."""
    files = Files(folder)
    work = EndToEnd(read(files.folder / "train.parquet"), read(files.folder / "test.parquet"), files.classes)
    work.run()
    return {"accuracy": work.accuracy}


def epoch_and_predict(folder: str, variant: str, epochs: int) -> dict[str, float]:
    """Train, and predict all training documents; returns seconds of an epoch and of a prediction, both warm."""
    files = Files(folder)
    train = files.examples("train")
    fit = Fit(variant, files.words.rows, files.classes, train, epochs=epochs)
    model = fit.classifier(files.words)
    answers(model, train.documents)
    started = time.perf_counter()
    answers(model, train.documents)
    return {"epoch": fit.steady, "predict": time.perf_counter() - started}


def read_and_train(folder: str, shuffle: bool) -> dict[str, float]:
    """Read the token ids and train average_20, twice: the second time, all is compiled.

    Returns the seconds of both, those of reading, the peak memory after the first time, and the accuracy on test.
    """
    result: dict[str, float] = {}
    for name in ("with compilation", "compilation apart"):
        started = time.perf_counter()
        files = Files(folder)
        train = files.examples("train")
        result["reading"] = time.perf_counter() - started
        fit = Fit("average_20", files.words.rows, files.classes, train, shuffle=shuffle)
        result[name] = time.perf_counter() - started
        result.setdefault("peak", peak_memory())
    return {**result, "accuracy": float(is_right(fit.classifier(files.words), files.examples("test")).mean())}


def shipped(folder: str, variant: str) -> dict[str, Any]:
    """Read the token ids and train a variant of params.yaml, twice: the second time, all is compiled.

    The fraction that vectorize holds out is watched, as the train stage does. Returns the seconds of both and, on the
    test split, the accuracy and which documents it got right.
    """
    settings = read_variant(variant, PROJECT / "params.yaml")
    section = Vectorize.read("vectorize", PROJECT / "params.yaml")
    result: dict[str, Any] = {}
    for name in ("with compilation", "compilation apart"):
        started = time.perf_counter()
        files = Files(folder)
        train = files.whole("train")
        held_out = choose_validation(train.labels, section.validation, section.seed)
        model = train_shipped(settings, train.select(~held_out), train.select(held_out), files)
        result[name] = time.perf_counter() - started
        result.setdefault("peak", peak_memory())
    correct = is_right(model, files.whole("test"))
    return {**result, "accuracy": float(correct.mean()), "right": correct.astype(int).tolist()}


def train_shipped(variant: Variant, documents: Examples, validation: Examples, files: Files) -> Classifier:
    """Train a variant as the train stage does."""
    trained = train_variant(
        variant,
        documents,
        validation,
        name="bench",
        words=files.words,
        classes=files.classes,
        origin={"source": "bench"},
    )
    return trained.model
