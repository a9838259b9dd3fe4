"""Write the report: one page with all that the run found, which also answers for the variants.

Reads every variant's model, history, predictions and explanations, the test split's texts and the figures in
`metrics/`; writes `data/report/index.html`.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import flaxtext.core.startup
from flaxtext.core import params
from flaxtext.core.errors import UserError
from flaxtext.core.files import write_text
from flaxtext.models.bundle import load_bundle
from flaxtext.models.compilation import configure_jax
from flaxtext.report.report import Importance, Predictions, Run, render, rows_needed
from flaxtext.text.corpus import read_texts


def main() -> None:
    """Gather what the other stages wrote, and render it."""
    parser = argparse.ArgumentParser(description=__doc__)
    for folder in ("models", "history", "predictions", "explanations", "importance", "metrics"):
        parser.add_argument(f"--{folder}", type=Path, required=True, help="a folder with a file or folder a variant")
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--html", type=Path, required=True)
    args = parser.parse_args()
    loaded = params.load()
    variants = list(loaded.variants)

    metrics = {name: read_json(args.metrics / f"{name}.json") for name in variants}
    classes = list(metrics[variants[0]]["test"]["per_class"])
    predictions = {name: read_predictions(args.predictions / f"{name}.parquet", classes) for name in variants}
    checks = args.metrics / "data.json"
    configure_jax()
    page = render(
        Run(
            params=loaded,
            metrics=metrics,
            histories={name: pd.read_csv(args.history / f"{name}.csv") for name in variants},
            predictions=predictions,
            explanations={name: read_json(args.explanations / f"{name}.json") for name in variants},
            models={name: load_bundle(args.models / name) for name in variants},
            texts=read_texts(args.test, rows_needed(predictions, loaded.report.mistakes)),
            faithfulness={name: read_json(args.metrics / "explanations" / f"{name}.json") for name in variants},
            importance={name: read_importance(args.importance / f"{name}.parquet", len(classes)) for name in variants},
            comparison=read_json(args.metrics / "comparison.json"),
            checks=read_json(checks) if checks.exists() else {},
        )
    )
    write_text(args.html, page)
    print(f"{args.html}: {len(page.encode()) / 1e6:.1f} MB")


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run `dvc repro` to make it") from None


def read_predictions(path: Path, classes: list[str]) -> Predictions:
    """Read a variant's answers on the test split, in the order of its rows."""
    table = pq.read_table(path, filters=pc.field("split") == "test").sort_by("row")
    names = pa.array(classes, pa.string())
    probabilities = table["probabilities"].combine_chunks().flatten().to_numpy()
    return Predictions(
        labels=pc.index_in(table["label"], names).to_numpy(),
        predicted=pc.index_in(table["predicted"], names).to_numpy(),
        probabilities=probabilities.reshape(len(table), len(classes)),
    )


def read_importance(path: Path, classes: int) -> Importance:
    """Read what each word adds to each class."""
    table = pq.read_table(path)
    weights = table["weights"].combine_chunks().flatten().to_numpy()
    return Importance(table["word"].to_pylist(), weights.reshape(len(table), classes))


if __name__ == "__main__":
    flaxtext.core.startup.run(main)
