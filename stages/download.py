"""Get the labelled text of the chosen source, checked row by row, as a training and a test split.

Reads what `data.source` names: files by path or URL, or the docstrings of installed packages. Writes
`data/raw/train.parquet` and `data/raw/test.parquet`: text, label and the columns that the source keeps; source, classes
and checksums in the metadata; and `data/checks/rejected.csv`: the rows that were left out for want of text or label.
"""

import argparse
import sys
from pathlib import Path

from checkout import fast_start, run_script

with fast_start():
    import numpy as np

    from flaxtext.artifacts.corpus import open_corpus
    from flaxtext.artifacts.rejected import open_rejected
    from flaxtext.config.data import read_source
    from flaxtext.download.labels import describe_counts
    from flaxtext.download.sources import SourceDocuments, check_splits, open_source
    from flaxtext.download.splits import ReadAgain


def main() -> None:
    """Write both splits of the source and the rows left out, or nothing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--rejected", type=Path, default=Path("data/checks/rejected.csv"))
    args = parser.parse_args()
    data, source = read_source()

    with open_source(data, source) as documents:
        try:
            counts = write(documents, data.source, args)
        except ReadAgain:
            counts = write(documents, data.source, args)

    for sieve in documents.sieves:
        print(sieve.summary())
        for line in sieve.notes():
            print(line, file=sys.stderr)
    print(f"{data.source}: {counts['train'].sum():,} + {counts['test'].sum():,} documents")
    for line in describe_counts(documents.classes.names, counts["train"], counts["test"]):
        print(f"  {line}")


def write(documents: SourceDocuments, source: str, args: argparse.Namespace) -> dict[str, np.ndarray]:
    """Read the documents and write them; return how many of each class, `int64[classes]`, each split has."""
    classes = documents.classes.names
    described = {"classes": classes, "source": source, "class_of": documents.classes.renamed, **documents.origin}
    counts = {split: np.zeros(len(classes), np.int64) for split in ("train", "test")}
    with (
        open_rejected(args.rejected) as reject,
        open_corpus(args.train, keep=documents.keep, **described) as train,
        open_corpus(args.test, keep=documents.keep, **described) as test,
    ):
        writers = {"train": train, "test": test}
        for split, batch in documents.read(reject):
            writers[split].write_batch(batch)
            counts[split] += np.bincount(batch["label"].indices, minlength=len(classes))
        check_splits(counts, documents)
    return counts


if __name__ == "__main__":
    run_script(main)
