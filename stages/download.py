"""Get the labelled text of the chosen source, checked row by row, as a training and a test split.

Reads what `data.source` names: files by path or URL, or the docstrings of installed packages. Writes
`data/raw/train.parquet` and `data/raw/test.parquet`: text, label; source, classes and checksums in the metadata.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

import flaxtext.core.startup
from flaxtext.core import params
from flaxtext.core.errors import UserError
from flaxtext.core.files import atomic
from flaxtext.download.sources import Documents, open_source, schema


def main() -> None:
    """Write both splits of the source, or neither."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    args = parser.parse_args()
    values = params.load()

    with open_source(values) as documents, atomic(args.train) as train, atomic(args.test) as test:
        counts = write(documents, values.data.source, {"train": train, "test": test})
        check(counts, documents)

    print(f"{values.data.source}: {counts['train'].sum():,} + {counts['test'].sum():,} documents")
    for name, n_train, n_test in zip(documents.classes, counts["train"], counts["test"], strict=True):
        print(f"  {name}: {n_train:,} + {n_test:,}")


def write(documents: Documents, source: str, paths: dict[str, Path]) -> dict[str, np.ndarray]:
    """Write the documents of each split to its path as they come; return their number, `int64[classes]` a split."""
    described = schema(documents.classes, source, documents.origin)
    counts = {split: np.zeros(len(documents.classes), np.int64) for split in paths}
    options = {"compression": "zstd", "use_dictionary": ["label"]}
    with (
        pq.ParquetWriter(paths["train"], described, **options) as train,
        pq.ParquetWriter(paths["test"], described, **options) as test,
    ):
        writers = {"train": train, "test": test}
        for split, batch in documents.batches:
            writers[split].write_batch(batch)
            counts[split] += np.bincount(batch["label"].indices, minlength=len(documents.classes))
    return counts


def check(counts: dict[str, np.ndarray], documents: Documents) -> None:
    """Refuse splits that no classifier could learn from; warn of a class that test lacks."""
    for split, count in counts.items():
        if not count.any():
            raise UserError(
                f"{documents.name}: no document falls to the {split} split; give more of them, or another test_fraction"
            )
    classes = np.array(documents.classes)
    present, missing = classes[counts["train"] > 0], classes[counts["train"] == 0]
    if len(present) == 1:
        raise UserError(
            f"{documents.name}: all training documents are of class {str(present[0])!r}; "
            "a classifier needs two classes or more"
        )
    if len(missing):
        raise UserError(f"{documents.name}: no training document of class {', '.join(missing)}")
    if len(missing := classes[counts["test"] == 0]):
        print(f"warning: {documents.name}: no test document of class {', '.join(missing)}", file=sys.stderr)


if __name__ == "__main__":
    flaxtext.core.startup.run(main)
