"""Turn each document into the ids of its words, and choose the validation split.

Reads a vocabulary and both splits; writes `data/token_ids/{train,test}.parquet` or `.npz`: ids, whole, labels, and
which documents of train are held out; and the words that the vocabulary lacks: `unknown.parquet`, and of these
`unknown_train.parquet`, those of train.
"""

import argparse
from pathlib import Path

from checkout import fast_start, run_script

with fast_start():
    from flaxtext.artifacts.corpus import Corpus
    from flaxtext.artifacts.token_ids import write_token_ids, write_unknown_words
    from flaxtext.artifacts.vocabulary import read_vocabulary
    from flaxtext.config.vectorize import Vectorize
    from flaxtext.text.token_ids import UnknownWords, choose_validation


def main() -> None:
    """Vectorize both splits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--checked", type=Path, help="not read: DVC waits for check to write it, which says all is well"
    )
    parser.add_argument("--vocab", type=Path, required=True)
    parser.add_argument("--train", type=Path, nargs=2, required=True, metavar=("TEXTS", "TOKEN_IDS"))
    parser.add_argument("--test", type=Path, nargs=2, required=True, metavar=("TEXTS", "TOKEN_IDS"))
    parser.add_argument("--unknown", type=Path, nargs=2, required=True, metavar=("OF_TRAIN", "ALL"))
    args = parser.parse_args()
    section = Vectorize.read("vectorize")

    words = read_vocabulary(args.vocab)
    unknown = UnknownWords(words)
    for (texts, output), listed in zip((args.train, args.test), args.unknown, strict=True):
        corpus = Corpus(texts)
        fraction = section.validation if output == args.train[1] else 0.0
        held_out = choose_validation(corpus.labels(), fraction, section.seed)
        batches = unknown.number(corpus.texts_and_labels())
        write_token_ids(output, batches, held_out=held_out, classes=corpus.classes, origin=corpus.origin)
        write_unknown_words(listed, unknown.words, words.rows)  # train's come first: training does not see test's
        print(f"{output}: {len(held_out):,} documents, {held_out.sum():,} of them held out as validation")
    print(f"{len(unknown.words):,} words are not in the vocabulary")


if __name__ == "__main__":
    run_script(main)
