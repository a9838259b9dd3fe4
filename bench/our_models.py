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
from bench.our_vectors import Files, batches, vectorize
from flaxtext.config import params
from flaxtext.explain.explanation import explain
from flaxtext.model import bundle
from flaxtext.text import vocabulary
from flaxtext.artifacts.split import held_out
from flaxtext.artifacts.token_ids import Vectors
from flaxtext.text.vocabulary import Vocabulary
from flaxtext.train import training, variants
from flaxtext.train.network import build, outline

EPOCHS = 15
VARIANTS: dict[str, dict[str, Any]] = {
    "flatten_10": {"pooling": "flatten", "embed_dim": 10},
    "flatten_20": {"pooling": "flatten", "embed_dim": 20},
    "average_20": {"pooling": "mean", "embed_dim": 20},
    "sum_20": {"pooling": "sum", "embed_dim": 20},
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
        train: Vectors,
        *,
        epochs: int = EPOCHS,
        shuffle: bool = False,
        batch_size: int = 1024,
    ) -> None:
        length = train.ids.shape[1]
        self.config = {"classes": list(classes), "max_len": length, "hidden": 100, **VARIANTS[variant]}
        self.seconds: list[float] = []
        started = time.perf_counter()
        self.parameters, history = training.fit(
            outline(self.config, rows),
            partial(build, self.config, rows, seed=0),
            train,
            Vectors(np.zeros((0, length), np.int32), np.zeros(0, np.int32)),
            epochs=epochs,
            batch_size=batch_size,
            optimizer="adam",
            learning_rate=0.001,
            shuffle=shuffle,
            seed=0,
            report=lambda _, seconds: self.seconds.append(seconds),
        )
        self.outset = time.perf_counter() - started - sum(self.seconds)
        self.losses = [epoch.batch_loss for epoch in history]

    @property
    def steady(self) -> float:
        """Seconds of an epoch after the first, the median."""
        return median(self.seconds[1:])

    def classifier(self, words: Vocabulary) -> bundle.Classifier:
        """Make what a loaded bundle is: the trained network as it predicts from text."""
        return bundle.Classifier(self.config, [jax.tree.map(np.asarray, self.parameters)], words)


def accuracy(model: bundle.Classifier, test: Vectors) -> float:
    """The share of documents that get the right class."""
    return float((model.probabilities(test.ids).argmax(axis=1) == test.labels).mean())


def lime(model: bundle.Classifier, text: str, label: int) -> list[str]:
    """Explain a class of one text with 5,000 samples: ten words, largest weight first."""
    [tokens] = model.tokenize([text])
    explanation = explain(
        tokens,
        model.token_ids(tokens),
        model.probabilities,
        [label],
        max_len=model.max_len,
        samples=5000,
        words=10,
        rng=np.random.default_rng(0),
    )
    return [explanation.words[index] for index in explanation.models[0].indices]


class EndToEnd:
    """Vocabulary, vectors, training of average_20 and predictions, in memory.

    Attributes:
        accuracy: on test, after `run`.
    """

    def __init__(self, train: Split, test: Split, classes: Sequence[str]) -> None:
        self.train, self.test, self.classes = train, test, classes
        self.accuracy = float("nan")

    def run(self) -> None:
        """Do it all once."""
        words = vocabulary.fit(batches(self.train.texts))
        train, test = (Vectors(vectorize(texts, words), labels) for texts, labels in (self.train, self.test))
        self.accuracy = accuracy(Fit("average_20", words.rows, self.classes, train).classifier(words), test)


def end_to_end(folder: str) -> dict[str, float]:
    """`EndToEnd` once, from files, for its memory."""
    files = Files(folder)
    work = EndToEnd(read(files.folder / "train.parquet"), read(files.folder / "test.parquet"), files.classes)
    work.run()
    return {"accuracy": work.accuracy}


def epoch_and_predict(folder: str, variant: str, epochs: int) -> dict[str, float]:
    """Train, and predict all training documents; returns seconds of an epoch and of a prediction, both warm."""
    files = Files(folder)
    train = files.vectors("train")
    fit = Fit(variant, files.words.rows, files.classes, train, epochs=epochs)
    model = fit.classifier(files.words)
    model.probabilities(train.ids)
    started = time.perf_counter()
    model.probabilities(train.ids)
    return {"epoch": fit.steady, "predict": time.perf_counter() - started}


def read_and_train(folder: str, shuffle: bool) -> dict[str, float]:
    """Read the vectors and train average_20, twice: the second time, all is compiled.

    Returns the seconds of both, those of reading, the peak memory after the first time, and the accuracy on test.
    """
    result: dict[str, float] = {}
    for name in ("with compilation", "compilation apart"):
        started = time.perf_counter()
        files = Files(folder)
        train = files.vectors("train")
        result["reading"] = time.perf_counter() - started
        fit = Fit("average_20", files.words.rows, files.classes, train, shuffle=shuffle)
        result[name] = time.perf_counter() - started
        result.setdefault("peak", peak_memory())
    return {**result, "accuracy": accuracy(fit.classifier(files.words), files.vectors("test"))}


def shipped(folder: str, variant: str) -> dict[str, Any]:
    """Read the vectors and train a variant of params.yaml, twice: the second time, all is compiled.

    The share that the variant holds out is watched, as the train stage does. Returns the seconds of both and, on the
    test split, the accuracy and which documents it got right.
    """
    settings = params.load(PROJECT / "params.yaml").variants[variant]
    result: dict[str, Any] = {}
    for name in ("with compilation", "compilation apart"):
        started = time.perf_counter()
        files = Files(folder)
        trained = train_shipped(settings, *hold_out(files.vectors("train"), settings.validation), files)
        result[name] = time.perf_counter() - started
        result.setdefault("peak", peak_memory())
    model = bundle.Classifier(trained.config, trained.members, files.words, trained.features)
    test = files.vectors("test")
    right = model.probabilities(test.ids).argmax(axis=1) == test.labels
    return {**result, "accuracy": float(right.mean()), "right": right.astype(int).tolist()}


def hold_out(documents: Vectors, share: float) -> tuple[Vectors, Vectors]:
    """Split documents into those to train on and those to watch."""
    chosen = held_out(documents.labels, share, seed=0)
    return Vectors(documents.ids[~chosen], documents.labels[~chosen]), Vectors(
        documents.ids[chosen], documents.labels[chosen]
    )


def train_shipped(variant: params.Variant, documents: Vectors, validation: Vectors, files: Files) -> variants.Trained:
    """Train a variant as the train stage does."""
    about = {"name": "bench", "words": files.words, "classes": files.classes, "origin": {"source": "bench"}}
    return variants.train(variant, documents, validation, **about)
