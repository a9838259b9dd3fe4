"""Number the words of the corpus by falling count.

Reads the splits of `build_vocab.fit_on` and, where they are named, pretrained word vectors; writes
`data/vocab.parquet`, word, count, id, and the vectors of those words and of frequent others,
`data/pretrained.safetensors`.
"""

import argparse
from itertools import chain
from pathlib import Path

from checkout import fast_start, run_script

with fast_start():
    from flaxtext.artifacts.corpus import Corpus
    from flaxtext.artifacts.pretrained import NONE, write_pretrained
    from flaxtext.artifacts.vocabulary import write_vocabulary
    from flaxtext.config.build_vocab import BuildVocab
    from flaxtext.core.errors import UserError
    from flaxtext.core.printable import name_some
    from flaxtext.io.word_vectors import find_vectors
    from flaxtext.text.vocabulary import fit_vocabulary


def main() -> None:
    """Fit the vocabulary and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("train", "test", "vocab", "pretrained"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args()
    section = BuildVocab.read("build_vocab")

    paths = {"train": args.train, "test": args.test}
    texts = chain.from_iterable(Corpus(paths[split]).texts() for split in section.fit_on)
    words = fit_vocabulary(texts, section.max_words, section.min_count, section.tokenizer)
    if not len(words):
        raise UserError("params.yaml: build_vocab: no word is left; lower min_count or look at the texts")
    known = find_vectors(section.vectors, words, section.max_words) if section.vectors else NONE
    write_vocabulary(args.vocab, words)
    write_pretrained(args.pretrained, known)

    top = name_some(words.words[:8].to_pylist())
    print(f"{len(words):,} words from {' and '.join(section.fit_on)}, by falling count: {top}, ...")
    if section.vectors:
        print(
            f"{len(known.ids):,} of them ({len(known.ids) / len(words):.0%}) have a vector in {section.vectors}, "
            f"and so do {len(known.words):,} that are not among them"
        )


if __name__ == "__main__":
    run_script(main)
