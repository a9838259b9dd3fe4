"""The peers' side of each comparison; the tutorial's loop has a module of its own.

Each package is imported where it is used: a process that measures one must not pay for the others.
"""

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from bench.documents import Split, read
from flaxtext.core.parallel import cores
from flaxtext.text.tokenizers import tokenize

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


def tfidf_svm(train: Split, texts: pa.Array, *, characters: bool) -> np.ndarray:
    """scikit-learn's linear SVM on TF-IDF of words and pairs, sublinear, and of `characters` within words, 1 to 4.

    Learns from `train`, and returns the labels of `texts: string[n]`, `int32[n]`.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline, make_union
    from sklearn.svm import LinearSVC

    parts = [TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)]
    if characters:
        parts.append(TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4), sublinear_tf=True))
    model = make_pipeline(make_union(*parts), LinearSVC())
    found: np.ndarray = model.fit(train.texts.to_pylist(), train.labels).predict(texts.to_pylist())
    return found


def fasttext_words(train: Split, texts: pa.Array) -> np.ndarray:
    """fastText on words alone, with dim 10, learning rate 0.5 and 25 epochs, on one core, which repeats itself.

    It parts words at white space alone, so it is given those that flaxtext finds. Learns from `train`, and returns the
    labels of `texts: string[n]`, `int32[n]`; -1 for a text without words.
    """
    import fasttext

    def lines(texts: pa.Array) -> list[str]:
        return [" ".join(words) + "\n" for words in tokenize(texts, "unicode").to_pylist()]

    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        file.writelines(
            f"__label__{label} {line}" for label, line in zip(train.labels, lines(train.texts), strict=True)
        )
        file.flush()
        model = fasttext.train_supervised(input=file.name, dim=10, lr=0.5, epoch=25, thread=1, verbose=0)
    answers, _ = model.f.multilinePredict(lines(texts), 1, 0.0, "strict")  # `predict` of 0.9.2 fails on NumPy 2
    return np.array([int(answer[0].removeprefix("__label__")) if answer else -1 for answer in answers], np.int32)


def linear_svm(folder: str, ngrams: int) -> dict[str, float]:
    """`LinearSvm` once, from files, for its memory."""
    work = LinearSvm(read(Path(folder, "train.parquet")), read(Path(folder, "test.parquet")), ngrams)
    work.run()
    return {"accuracy": work.accuracy}
