"""Get the labelled text of the chosen source, checked row by row, as a training and a test split.

Reads what `data.source` names: files by path or URL, or the docstrings of installed packages. Writes
`data/raw/train.parquet` and `data/raw/test.parquet`: text, label; source, classes and checksums in the metadata.
"""

import argparse
from pathlib import Path

from checkout import fast_start, run_script

with fast_start():
    import numpy as np

    from flaxtext.artifacts.corpus import open_corpus
    from flaxtext.config.data import read_source
    from flaxtext.download.sources import check_splits, open_source


def main() -> None:
    """Write both splits of the source, or neither."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    args = parser.parse_args()
    data, source = read_source()

    with open_source(data, source) as documents:
        described = {"classes": documents.classes, "source": data.source, **documents.origin}
        counts = {split: np.zeros(len(documents.classes), np.int64) for split in ("train", "test")}
        with open_corpus(args.train, **described) as train, open_corpus(args.test, **described) as test:
            writers = {"train": train, "test": test}
            for split, batch in documents.batches:
                writers[split].write_batch(batch)
                counts[split] += np.bincount(batch["label"].indices, minlength=len(documents.classes))
            check_splits(counts, documents)

    print(f"{data.source}: {counts['train'].sum():,} + {counts['test'].sum():,} documents")
    for name, n_train, n_test in zip(documents.classes, counts["train"], counts["test"], strict=True):
        print(f"  {name}: {n_train:,} + {n_test:,}")


if __name__ == "__main__":
    run_script(main)
