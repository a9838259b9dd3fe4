"""The documents that all sides work on, in memory and as the files that each side reads."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flaxtext.artifacts.corpus import BATCH_ROWS, Corpus, open_corpus
from flaxtext.text.tokenizers import tokenize

AG_NEWS = ["World", "Sports", "Business", "Sci/Tech"]


class Split(NamedTuple):
    """Texts, `string[n]`, and labels, `int32[n]`."""

    texts: pa.Array
    labels: np.ndarray


@dataclass
class Documents:
    """A training and a test split, the names of their classes, and what they are in words."""

    train: Split
    test: Split
    classes: list[str]
    description: str


def load(source: Path, size: int | None = None) -> Documents:
    """Read the folder `source`: AG News as published, or Parquet files as the download stage writes them.

    With `size`, there are that many training documents: the first ones, or all and recombined ones after them.
    """
    if (source / "train.csv").exists():
        documents = Documents(read_csv(source / "train.csv"), read_csv(source / "test.csv"), AG_NEWS, "AG News")
    else:
        classes = Corpus(source / "train.parquet").classes
        train, test = read(source / "train.parquet"), read(source / "test.parquet")
        documents = Documents(train, test, classes, f"classes {', '.join(classes)}")
    real = len(documents.train.labels)
    if size:
        documents.train = grow(documents.train, size)
    n_train, n_test = len(documents.train.labels), len(documents.test.labels)
    documents.description += f", {n_train:,} training and {n_test:,} test documents"
    if n_train > real:
        documents.description += (
            f" (the {real:,} real training documents, and {n_train - real:,} made from them by recombining their words"
            " at random within each class)"
        )
    return documents


def read_csv(path: Path) -> Split:
    """Read a published file: no header; label from 1, title, description."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = [(int(label) - 1, f"{title} {description}") for label, title, description in csv.reader(file)]
    return Split(pa.array([text for _, text in rows], pa.string()), np.array([label for label, _ in rows], np.int32))


def read(path: str | Path) -> Split:
    """Read a Parquet file of texts and labels whole."""
    batches = list(Corpus(path).texts_and_labels())
    return Split(pa.concat_arrays([texts for texts, _ in batches]), np.concatenate([labels for _, labels in batches]))


def grow(split: Split, size: int) -> Split:
    """Take the first `size` documents or, where there are fewer, all of them and then recombined ones."""
    rng = np.random.default_rng(0)
    copies = range(len(split.labels), size, len(split.labels))
    parts = [split, *(recombine(split, rng) for _ in copies)]
    texts = pa.concat_arrays([texts for texts, _ in parts])
    return Split(texts[:size], np.concatenate([labels for _, labels in parts])[:size])


def recombine(split: Split, rng: np.random.Generator) -> Split:
    """Shuffle all words of a class among its documents: lengths, classes and word frequencies stay."""
    lists = pc.split_pattern(split.texts, " ")
    label_of_word = np.repeat(split.labels, np.diff(lists.offsets.to_numpy()))
    shuffled = rng.permutation(len(label_of_word))
    source = np.empty_like(shuffled)
    source[np.argsort(label_of_word, kind="stable")] = shuffled[np.argsort(label_of_word[shuffled], kind="stable")]
    words = pa.ListArray.from_arrays(lists.offsets, lists.values.take(pa.array(source)))
    return Split(pc.binary_join(words, " "), split.labels)


def write(documents: Documents, folder: Path) -> None:
    """Write `{train,test}` as `.parquet` (as download does), `.csv` (class, text) and `.txt` (fastText's format)."""
    folder.mkdir(exist_ok=True)
    names = np.array(documents.classes, dtype=object)
    for name, (texts, labels) in (("train", documents.train), ("test", documents.test)):
        write_parquet(Split(texts, labels), documents.classes, folder / f"{name}.parquet")
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, quoting=csv.QUOTE_ALL).writerows(zip(names[labels], texts.to_pylist(), strict=True))
        with (folder / f"{name}.txt").open("w", encoding="utf-8") as file:
            # The same words for all: fastText itself splits at white space alone.
            for label, words in zip(labels, tokenize(texts, "unicode").to_pylist(), strict=True):
                file.write(f"__label__{label} {' '.join(words)}\n")


def write_parquet(split: Split, classes: list[str], path: Path) -> None:
    """Write a split as the download stage does."""
    codes = pa.DictionaryArray.from_arrays(pa.array(split.labels), pa.array(classes))
    with open_corpus(path, classes=classes, source="bench") as writer:
        writer.write_table(pa.table({"text": split.texts, "label": codes}), row_group_size=BATCH_ROWS)
