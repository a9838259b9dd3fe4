"""flaxtext's side of each comparison, through its public functions."""

import time
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa

from bench.documents import Split, read
from bench.measure import peak_memory
from flaxtext import bundle, training, vectors, vocabulary
from flaxtext.corpus import BATCH_ROWS, Corpus
from flaxtext.explanation import Explanation, explain
from flaxtext.network import Parameters
from flaxtext.vectors import Vectors
from flaxtext.vocabulary import Vocabulary

MAX_LEN = 50
VARIANTS: dict[str, dict[str, Any]] = {
    "flatten_10": {"pooling": "flatten", "embed_dim": 10},
    "flatten_20": {"pooling": "flatten", "embed_dim": 20},
    "average_20": {"pooling": "mean", "embed_dim": 20},
    "sum_20": {"pooling": "sum", "embed_dim": 20},
}
NOTHING = Vectors(np.zeros((0, MAX_LEN), np.int32), np.zeros(0, np.int32))


class Fit:
    """A variant in training by the tutorial's protocol, without validation.

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
        epochs: int,
        shuffle: bool = False,
        batch_size: int = 1024,
    ) -> None:
        self.config = {"classes": list(classes), "max_len": train.ids.shape[1], "hidden": 100, **VARIANTS[variant]}
        self.seconds: list[float] = []
        self.parameters, history = training.fit(
            bundle.build(self.config, rows, seed=0),
            train,
            Vectors(NOTHING.ids[:, : train.ids.shape[1]], NOTHING.labels),
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
        """Seconds of an epoch when all is compiled."""
        return median(self.seconds[1:])

    def classifier(self, words: Vocabulary) -> bundle.Classifier:
        """The trained network as it predicts from text."""
        parameters: Parameters = {
            layer: {name: np.asarray(array) for name, array in arrays.items()}
            for layer, arrays in self.parameters.items()
        }
        return bundle.Classifier(self.config, parameters, words)


def batches(texts: pa.Array) -> list[pa.Array]:
    """Cut texts into the record batches that a corpus is read in; copies nothing."""
    return [texts[start : start + BATCH_ROWS] for start in range(0, len(texts), BATCH_ROWS)]


def to_vectors(texts: pa.Array, words: Vocabulary) -> np.ndarray:
    """Vectorize in memory: `int32[n, max_len]`."""
    return np.concatenate([vectors.vectorize(batch, words, MAX_LEN) for batch in batches(texts)])


def vectors_of_both(train: pa.Array, test: pa.Array) -> tuple[Vocabulary, np.ndarray, np.ndarray]:
    """Vocabulary from both splits, and their vectors, in memory."""
    words = vocabulary.fit([*batches(train), *batches(test)])
    return words, to_vectors(train, words), to_vectors(test, words)


def vectors_in_files(folder: str) -> dict[str, float]:
    """The same from Parquet to Parquet, a batch at a time; returns seconds."""
    paths = [Path(folder, f"{name}.parquet") for name in ("train", "test") if Path(folder, f"{name}.parquet").exists()]
    started = time.perf_counter()
    vocabulary.save(vocabulary.fit(_texts(paths)), Path(folder, "vocab.parquet"))
    between = time.perf_counter()
    words = vocabulary.load(Path(folder, "vocab.parquet"))
    for path in paths:
        corpus = Corpus(path)
        parts = (Vectors(vectors.vectorize(texts, words, MAX_LEN), labels) for texts, labels in corpus.texts_and_labels())
        vectors.write(Path(folder, "vectors", path.name), parts, len(corpus), MAX_LEN)
    return {"vocabulary": between - started, "vectors": time.perf_counter() - between}


def _texts(paths: list[Path]) -> Iterator[pa.Array]:
    for path in paths:
        yield from Corpus(path).texts()


class EndToEnd:
    """Vocabulary, vectors, 15 epochs of average_20 and predictions, in memory."""

    def __init__(self, train: Split, test: Split, classes: Sequence[str]) -> None:
        self.train, self.test, self.classes = train, test, classes
        self.accuracy = float("nan")

    def run(self) -> None:
        """Do it all once, and set the accuracy on test."""
        words = vocabulary.fit(batches(self.train.texts))
        train = Vectors(to_vectors(self.train.texts, words), self.train.labels)
        fit = Fit("average_20", words.rows, self.classes, train, epochs=15)
        self.accuracy = accuracy(fit.classifier(words), Vectors(to_vectors(self.test.texts, words), self.test.labels))


def accuracy(model: bundle.Classifier, test: Vectors) -> float:
    """The share of documents that get the right class."""
    return float((model.probabilities(test.ids).argmax(axis=1) == test.labels).mean())


def lime(model: bundle.Classifier, text: str, label: int) -> Explanation:
    """Explain a class of one text with 5,000 samples."""
    [tokens] = model.tokenize([text])
    return explain(
        tokens,
        model.token_ids(tokens),
        model.probabilities,
        [label],
        max_len=model.max_len,
        samples=5000,
        words=10,
        rng=np.random.default_rng(0),
    )


class Files:
    """What `vectors_in_files` left in a folder, for work in a process of its own."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    @cached_property
    def words(self) -> Vocabulary:
        """The vocabulary."""
        return vocabulary.load(self.folder / "vocab.parquet")

    @cached_property
    def classes(self) -> list[str]:
        """The class names."""
        return Corpus(self.folder / "train.parquet").classes

    def vectors(self, split: str) -> Vectors:
        """The vectors of a split."""
        return vectors.read(self.folder / "vectors" / f"{split}.parquet")


def epoch_and_predict(folder: str, variant: str, epochs: int) -> dict[str, float]:
    """Train, and predict all training documents; returns seconds of a warm epoch and a warm prediction."""
    files = Files(folder)
    train = files.vectors("train")
    fit = Fit(variant, files.words.rows, files.classes, train, epochs=epochs)
    model = fit.classifier(files.words)
    model.probabilities(train.ids)
    started = time.perf_counter()
    model.probabilities(train.ids)
    return {"epoch": fit.steady, "predict": time.perf_counter() - started}


def read_and_train(folder: str, shuffle: bool) -> dict[str, float]:
    """Read the vectors and train average_20 for 15 epochs, twice: the second time, all is compiled.

    Returns seconds, the accuracy on test, and the process's peak memory after the first time.
    """
    result: dict[str, float] = {}
    for name in ("with_compilation", "warm"):
        started = time.perf_counter()
        files = Files(folder)
        train = files.vectors("train")
        rows, classes = files.words.rows, files.classes
        read = time.perf_counter() - started
        fit = Fit("average_20", rows, classes, train, epochs=15, shuffle=shuffle)
        result |= {name: time.perf_counter() - started, "read": read}
        result.setdefault("peak", peak_memory())
    return {**result, "accuracy": accuracy(fit.classifier(files.words), files.vectors("test"))}


def end_to_end(folder: str) -> dict[str, float]:
    """`EndToEnd` once, from files, for its memory."""
    files = Files(folder)
    work = EndToEnd(read(files.folder / "train.parquet"), read(files.folder / "test.parquet"), files.classes)
    work.run()
    return {"accuracy": work.accuracy}
