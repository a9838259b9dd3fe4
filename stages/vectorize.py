"""Turn each document into the ids of its words, and choose the validation split.

Reads a vocabulary and both splits; writes `data/token_ids/{train,test}.parquet` or `.npz`: ids, whole, and labels;
`unknown.parquet`: the words that the vocabulary lacks; `validation.parquet`: the rows of train that are held out.
"""

import argparse
from pathlib import Path

from checkout import fast_start, run

with fast_start():
    from flaxtext.artifacts.corpus import Corpus
    from flaxtext.artifacts.split import choose_validation, write_split
    from flaxtext.artifacts.token_ids import write_token_ids, write_unknown_words
    from flaxtext.artifacts.vocabulary import read_vocabulary
    from flaxtext.config.vectorize import Vectorize
    from flaxtext.text.token_ids import UnknownWords


def main() -> None:
    """Vectorize both splits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--checked", type=Path, help="not read: DVC waits for check to write it, which says all is well"
    )
    parser.add_argument("--vocab", type=Path, required=True)
    parser.add_argument("--train", type=Path, nargs=2, required=True, metavar=("TEXTS", "TOKEN_IDS"))
    parser.add_argument("--test", type=Path, nargs=2, required=True, metavar=("TEXTS", "TOKEN_IDS"))
    parser.add_argument("--unknown", type=Path, required=True)
    parser.add_argument("--validation", type=Path, required=True)
    args = parser.parse_args()
    section = Vectorize.read("vectorize")

    words = read_vocabulary(args.vocab)
    unknown = UnknownWords(words)
    for texts, output in (args.train, args.test):
        corpus = Corpus(texts)
        batches = unknown.number(corpus.texts_and_labels())
        labels = write_token_ids(output, batches, classes=corpus.classes, origin=corpus.origin)
        print(f"{output}: {len(labels):,} documents")
        if output == args.train[1]:
            held_out = choose_validation(labels, section.validation, section.seed)
    write_split(args.validation, held_out)
    write_unknown_words(args.unknown, unknown.words, words.rows)
    print(f"{held_out.sum():,} documents of train are held out; {len(unknown.words):,} words are not in the vocabulary")


if __name__ == "__main__":
    run(main)
