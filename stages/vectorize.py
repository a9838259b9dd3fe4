"""Turn each document into a row of word ids.

Reads a vocabulary and both splits; writes `data/vectors/{train,test}.parquet` or `.npz`: ids and labels.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

import flaxtext.core.startup
from flaxtext.core import params
from flaxtext.core.parallel import ordered_map
from flaxtext.text import vectors, vocabulary
from flaxtext.text.corpus import Corpus
from flaxtext.text.vectors import Vectors


def main() -> None:
    """Vectorize both splits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--checked", type=Path, help="not read: DVC waits for check to write it, which says all is well"
    )
    parser.add_argument("--vocab", type=Path, required=True)
    parser.add_argument("--train", type=Path, nargs=2, required=True, metavar=("TEXTS", "VECTORS"))
    parser.add_argument("--test", type=Path, nargs=2, required=True, metavar=("TEXTS", "VECTORS"))
    args = parser.parse_args()
    max_len = params.load().vectorize.max_len
    words = vocabulary.load(args.vocab)

    for texts, output in (args.train, args.test):
        corpus = Corpus(texts)
        vectors.write(output, vectorize(corpus, words, max_len), len(corpus), max_len)
        print(f"{output}: {len(corpus):,} documents of {max_len} ids")


def vectorize(corpus: Corpus, words: vocabulary.Vocabulary, max_len: int) -> Iterator[Vectors]:
    """Yield a split as vectors, batch by batch."""

    def one(batch: tuple[pa.Array, np.ndarray]) -> Vectors:
        texts, labels = batch
        return Vectors(vectors.vectorize(texts, words, max_len), labels)

    return ordered_map(one, corpus.texts_and_labels())


if __name__ == "__main__":
    flaxtext.core.startup.run(main)
