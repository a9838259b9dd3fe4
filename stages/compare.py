"""Say which variants differ, and how sure that is.

Reads every variant's predictions of the test split, and of one the labels of train; writes `metrics/comparison.json`:
each variant's figures with intervals, those of its seeds, whether it is better than always answering train's largest
class, and every pair's difference; and the accuracies once more as CSV, to be drawn.
"""

import argparse
from dataclasses import asdict
from pathlib import Path

from checkout import fast_start, run_script

with fast_start():
    from flaxtext.artifacts.metrics import rounded, write_accuracies, write_json
    from flaxtext.artifacts.predictions import largest_class, read_predictions
    from flaxtext.compare.comparison import compare, describe_standings
    from flaxtext.compare.judged import Judged
    from flaxtext.compare.majority import Majority
    from flaxtext.config import variant_names
    from flaxtext.config.compare import Compare
    from flaxtext.core.errors import UserError


def main() -> None:
    """Compare all variants of params.yaml."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--predictions", type=Path, required=True, help="a folder with VARIANT.parquet")
    parser.add_argument("--metrics", type=Path, required=True)
    parser.add_argument("--accuracy", type=Path, required=True)
    args = parser.parse_args()
    section = Compare.read("compare")

    found = {name: read_predictions(args.predictions / f"{name}.parquet") for name in variant_names()}
    first = next(iter(found))
    for name, own in found.items():
        if not own.is_of_the_same_split(found[first]):
            raise UserError(
                f"{args.predictions / name}.parquet: not of the same test split as {first}; run `dvc repro`"
            )
    largest = largest_class(args.predictions / f"{first}.parquet")
    judged = Judged.of(found, dict.fromkeys(found, largest))
    standings, pairs = compare(judged, section)
    majority = None if largest is None else Majority.of(largest, judged.labels == judged.majority[first])
    print(describe_standings(standings, pairs, section.confidence, majority))
    accuracies = {name: standing.accuracy for name, standing in standings.items()}
    write_accuracies(args.accuracy, [(name, own.value, own.low, own.high) for name, own in accuracies.items()])
    write_json(
        args.metrics,
        {
            "documents": len(judged.labels),
            "confidence": section.confidence,
            **({"majority": rounded(majority.figures)} if majority else {}),
            "variants": {name: rounded(asdict(standing)) for name, standing in standings.items()},
            "pairs": [{**rounded(asdict(pair)), "says": str(pair)} for pair in pairs],
        },
    )


if __name__ == "__main__":
    run_script(main)
