"""flaxtext's training, predictions and explanations, through its public functions."""

import time
from collections.abc import Sequence
from statistics import median
from typing import Any

import jax
import numpy as np

from bench import PROJECT
from bench.documents import Split, read
from bench.measure import peak_memory
from bench.our_vectors import MAX_LEN, Files, batches, vectorize
from flaxtext import bundle, features, params, training, vocabulary
from flaxtext.explanation import explain
from flaxtext.vectors import Vectors
from flaxtext.vocabulary import Vocabulary

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
        self.parameters, history = training.fit(
            bundle.build(self.config, rows, seed=0),
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
    """Read the vectors and train a variant of params.yaml on all of them, twice: the second time, all is compiled.

    Returns the seconds of both and, on the test split, the accuracy and which documents it got right.
    """
    settings = params.load(PROJECT / "params.yaml").variants[variant]
    if not isinstance(settings, params.NetworkVariant):
        raise TypeError(f"{variant} is no network")
    result: dict[str, Any] = {}
    for name in ("with compilation", "compilation apart"):
        started = time.perf_counter()
        files = Files(folder)
        config = {"classes": files.classes, "max_len": MAX_LEN, **settings.model_dump()}
        train = files.vectors("train")
        reads = features.fit(
            files.words.words,
            train.ids,
            stem=settings.stem,
            ngrams=settings.ngrams,
            min_count=settings.ngram_min_count,
        )
        train = Vectors(reads.expand(train.ids), train.labels)
        names = ("epochs", "batch_size", "optimizer", "learning_rate", "schedule", "shuffle")
        objective = ("label_smoothing", "word_dropout", "class_weights")
        members = [
            training.fit(
                bundle.build(config, reads.rows, seed),
                train,
                Vectors(train.ids[:0], train.labels[:0]),
                **{key: getattr(settings, key) for key in (*names, *objective)},
                seed=seed,
            )[0]
            for seed in range(settings.seed, settings.seed + settings.seeds)
        ]
        result[name] = time.perf_counter() - started
        result.setdefault("peak", peak_memory())
    model = bundle.Classifier(config, [jax.tree.map(np.asarray, member) for member in members], files.words, reads)
    test = files.vectors("test")
    right = model.probabilities(test.ids).argmax(axis=1) == test.labels
    return {**result, "accuracy": float(right.mean()), "right": right.astype(int).tolist()}
