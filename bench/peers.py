"""The peers' side of each comparison; the tutorial's loop has a module of its own.

Each package is imported where it is used: a process that measures one must not pay for the others.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.documents import Split, read
from flaxtext.core.parallel import cores

MAX_LEN = 50


class KerasTokenIds:
    """The legacy Tokenizer and `pad_sequences` of Keras, as the tutorial uses them.

    Attributes:
        rows: the vocabulary's size, and one for padding.
        train, test: int32[n, 50].
    """

    def __init__(self, train: list[str], test: list[str]) -> None:
        os.environ.setdefault("KERAS_BACKEND", "jax")  # its default, TensorFlow, is not needed here
        from keras.src.legacy.preprocessing.text import Tokenizer

        self.tokenizer = Tokenizer()
        self.tokenizer.fit_on_texts(train + test)
        self.rows = len(self.tokenizer.word_index) + 1
        self.train, self.test = self.number(train), self.number(test)

    def number(self, texts: list[str]) -> np.ndarray:
        """Turn texts into `int32[n, 50]`."""
        from keras.utils import pad_sequences

        sequences = self.tokenizer.texts_to_sequences(texts)
        return pad_sequences(sequences, maxlen=MAX_LEN, padding="post", truncating="post")


def keras_token_ids(folder: str) -> dict[str, int]:
    """`KerasTokenIds` once, from files, for its memory."""
    train, test = (read(Path(folder, f"{split}.parquet")).texts.to_pylist() for split in ("train", "test"))
    return {"rows": KerasTokenIds(train, test).rows}


def lime(predict: Callable[[list[str]], np.ndarray], classes: list[str], text: str, label: int) -> list[str]:
    """Explain a class of one text with the lime package's defaults: ten words, largest weight first."""
    from lime.lime_text import LimeTextExplainer

    explanation = LimeTextExplainer(class_names=classes).explain_instance(text, predict, labels=[label])
    return [word for word, _ in explanation.as_list(label=label)]


def fasttext(folder: str, ngrams: int, **settings: float) -> dict[str, Any]:
    """Train fastText on all cores: seconds, reading included, accuracy, and which test documents it got right.

    With dim 10 and 5 epochs, and otherwise its defaults, or `settings` of `train_supervised`.
    """
    import fasttext

    started = time.perf_counter()
    model = fasttext.train_supervised(
        input=f"{folder}/train.txt", dim=10, epoch=5, wordNgrams=ngrams, thread=cores(), verbose=0, **settings
    )
    seconds = time.perf_counter() - started
    lines = Path(folder, "test.txt").read_text(encoding="utf-8").splitlines(keepends=True)
    labels, texts = zip(*(line.split(" ", 1) for line in lines), strict=True)
    answers, _ = model.f.multilinePredict(list(texts), 1, 0.0, "strict")  # `predict` of 0.9.2 fails on NumPy 2
    right = [int(answer == label) for [answer], label in zip(answers, labels, strict=True)]
    return {"seconds": seconds, "accuracy": sum(right) / len(right), "right": right}


class LinearSvm:
    """scikit-learn's TF-IDF and linear SVM with their defaults: fit and predict, in memory.

    Attributes:
        accuracy: on test, after `run`.
    """

    def __init__(self, train: Split, test: Split, ngrams: int) -> None:
        self.texts = train.texts.to_pylist(), test.texts.to_pylist()
        self.labels = train.labels, test.labels
        self.ngrams = ngrams
        self.accuracy = float("nan")

    def run(self) -> None:
        """Do it all once."""
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.pipeline import make_pipeline
        from sklearn.svm import LinearSVC

        model = make_pipeline(TfidfVectorizer(ngram_range=(1, self.ngrams)), LinearSVC())
        model.fit(self.texts[0], self.labels[0])
        self.accuracy = float((model.predict(self.texts[1]) == self.labels[1]).mean())


def linear_svm(folder: str, ngrams: int) -> dict[str, float]:
    """`LinearSvm` once, from files, for its memory."""
    work = LinearSvm(read(Path(folder, "train.parquet")), read(Path(folder, "test.parquet")), ngrams)
    work.run()
    return {"accuracy": work.accuracy}
