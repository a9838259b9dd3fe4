"""Say which variants differ, and how sure that is.

Reads every variant's predictions of the test split; writes `metrics/comparison.json`: each variant's figures with
intervals, those of its seeds, and every pair's difference; and the accuracies once more as CSV, to be drawn.
"""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

import flaxtext.core.startup
from flaxtext.compare import predictions
from flaxtext.compare.comparison import Pair, Standing, compare
from flaxtext.compare.predictions import Judged
from flaxtext.core import params
from flaxtext.core.errors import UserError
from flaxtext.core.files import write_json, write_text


def main() -> None:
    """Compare all variants of params.yaml."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--predictions", type=Path, required=True, help="a folder with VARIANT.parquet")
    parser.add_argument("--metrics", type=Path, required=True)
    parser.add_argument("--accuracy", type=Path, required=True)
    args = parser.parse_args()
    loaded = params.load()
    section = loaded.compare

    judged = read(args.predictions, list(loaded.variants))
    standings, pairs = compare(
        judged.labels,
        judged.predicted,
        judged.n_classes,
        judged.by_seed,
        resamples=section.resamples,
        confidence=section.confidence,
        seed=section.seed,
    )
    print_standings(standings, pairs, section.confidence)
    write_text(args.accuracy, table(standings))
    write_json(
        args.metrics,
        {
            "documents": len(judged.labels),
            "confidence": section.confidence,
            "variants": {name: rounded(asdict(standing)) for name, standing in standings.items()},
            "pairs": [{**rounded(asdict(pair)), "says": str(pair)} for pair in pairs],
        },
    )


def read(folder: Path, variants: list[str]) -> Judged:
    """Read what each variant predicted of the test split."""
    tables = {name: predictions.read(str(folder / f"{name}.parquet")) for name in variants}
    for name, found in tables.items():
        if not predictions.same_split(found, tables[variants[0]]):
            raise UserError(f"{folder / name}.parquet: not of the same test split as {variants[0]}; run `dvc repro`")
    return predictions.judged(tables)


def table(standings: dict[str, Standing]) -> str:
    """Lay out the accuracies as CSV, a row a variant."""
    lines = ["variant,accuracy,low,high\n"]
    for name, standing in standings.items():
        accuracy = standing.accuracy
        lines.append(f"{name},{accuracy.value:.6f},{accuracy.low:.6f},{accuracy.high:.6f}\n")
    return "".join(lines)


def print_standings(standings: dict[str, Standing], pairs: list[Pair], confidence: float) -> None:
    """Print a row a variant, then a row for each with several seeds, then a sentence a pair."""
    print(f"rank  {'variant':<20}  accuracy ({confidence:.0%} interval)    macro F1")
    for name, standing in standings.items():
        figures = (f"{e.value:.3f} ({e.low:.3f} to {e.high:.3f})" for e in (standing.accuracy, standing.macro_f1))
        print(f"{standing.rank:>4}  {name:<20}  {'    '.join(figures)}")
    several = {name: standing.seeds for name, standing in standings.items() if standing.seeds}
    if several:
        print(f"      {'accuracy by seed':<20}  mean    std     of each")
    for name, seeds in several.items():
        print(f"      {name:<20}  {seeds.mean:.4f}  {seeds.std:.4f}  {' '.join(f'{run:.4f}' for run in seeds.runs)}")
    for pair in pairs:
        print(pair)


def rounded(value: Any) -> Any:
    """Round the floats in nested dicts and lists to six significant digits; leave out what is None."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


if __name__ == "__main__":
    flaxtext.core.startup.run(main)
