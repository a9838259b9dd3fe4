"""Say which variants differ, and how sure that is.

Reads every variant's predictions of the test split; writes `metrics/comparison.json`: each variant's figures with
intervals, and every pair's difference.
"""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from flaxtext import params
from flaxtext.comparison import Pair, Standing, compare
from flaxtext.errors import UserError, run
from flaxtext.files import write_json


def main() -> None:
    """Compare all variants of params.yaml."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--predictions", type=Path, required=True, help="a folder with VARIANT.parquet")
    parser.add_argument("--metrics", type=Path, required=True)
    args = parser.parse_args()
    loaded = params.load()
    section = loaded.compare

    labels, predicted, n_classes = read(args.predictions, list(loaded.variants))
    standings, pairs = compare(
        labels,
        predicted,
        n_classes,
        resamples=section.resamples,
        confidence=section.confidence,
        seed=section.seed,
    )
    print_standings(standings, pairs, section.confidence)
    write_json(
        args.metrics,
        {
            "documents": len(labels),
            "confidence": section.confidence,
            "variants": {name: rounded(asdict(standing)) for name, standing in standings.items()},
            "pairs": [{**rounded(asdict(pair)), "says": str(pair)} for pair in pairs],
        },
    )


def read(folder: Path, variants: list[str]) -> tuple[np.ndarray, dict[str, np.ndarray], int]:
    """Read the test split's labels, each variant's predictions, both as class numbers, and the number of classes."""
    is_test = pc.field("split") == "test"
    tables = {name: pq.read_table(folder / f"{name}.parquet", filters=is_test) for name in variants}
    first = tables[variants[0]]
    for name, table in tables.items():
        if not table.select(["row", "label"]).equals(first.select(["row", "label"])):
            raise UserError(f"{folder / name}.parquet: not of the same test split as {variants[0]}; run `dvc repro`")
    answers = pa.chunked_array([c for t in tables.values() for c in (*t["label"].chunks, *t["predicted"].chunks)])
    names = answers.unique().sort()

    def numbers(column: pa.ChunkedArray) -> np.ndarray:
        return np.asarray(pc.index_in(column, names))

    predicted = {name: numbers(table["predicted"]) for name, table in tables.items()}
    return numbers(first["label"]), predicted, first.schema.field("probabilities").type.list_size


def print_standings(standings: dict[str, Standing], pairs: list[Pair], confidence: float) -> None:
    """Print a row a variant, then a sentence a pair."""
    print(f"rank  {'variant':<20}  accuracy ({confidence:.0%} interval)    macro F1")
    for name, standing in standings.items():
        figures = (f"{e.value:.3f} ({e.low:.3f} to {e.high:.3f})" for e in (standing.accuracy, standing.macro_f1))
        print(f"{standing.rank:>4}  {name:<20}  {'    '.join(figures)}")
    for pair in pairs:
        print(pair)


def rounded(value: Any) -> Any:
    """Round the floats in nested dicts to six significant digits."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return float(f"{value:.6g}") if isinstance(value, float) else value


if __name__ == "__main__":
    run(main)
