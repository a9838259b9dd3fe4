"""Number the words of the corpus by falling count.

Reads the splits of `build_vocab.fit_on` and, where it is named, a file of pretrained word vectors; writes
`data/vocab.parquet`, word, count, id, and the vectors of those words, `data/pretrained.safetensors`.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

import flaxtext.core.startup
from flaxtext.core import params
from flaxtext.core.errors import UserError
from flaxtext.text import pretrained, vocabulary
from flaxtext.text.corpus import Corpus


def main() -> None:
    """Fit the vocabulary and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--vocab", type=Path, required=True)
    parser.add_argument("--pretrained", type=Path, required=True)
    args = parser.parse_args()
    section = params.load().build_vocab

    paths = {"train": args.train, "test": args.test}
    texts = read([paths[split] for split in section.fit_on])
    fitted = vocabulary.fit(texts, section.max_words, section.min_count)
    if not len(fitted):
        raise UserError("params.yaml: build_vocab: no word is left; lower min_count or look at the texts")
    known = pretrained.read(section.vectors, fitted) if section.vectors else pretrained.NONE
    vocabulary.save(fitted, args.vocab)
    pretrained.write(args.pretrained, known)

    top = ", ".join(fitted.words[:8].to_pylist())
    print(f"{len(fitted):,} words from {' and '.join(section.fit_on)}, by falling count: {top}, ...")
    if section.vectors:
        print(f"{len(known.ids):,} of them ({len(known.ids) / len(fitted):.0%}) have a vector in {section.vectors}")


def read(paths: list[Path]) -> Iterator[pa.Array]:
    """Yield the texts of several splits, one after the other."""
    for path in paths:
        yield from Corpus(path).texts()


if __name__ == "__main__":
    flaxtext.core.startup.run(main)
