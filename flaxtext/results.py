"""The table that `make run` ends with: each variant's figures, and where things lie."""

import json
from pathlib import Path

import pandas as pd

from flaxtext import params
from flaxtext.errors import UserError, run


def table(folder: Path, variants: list[str]) -> pd.DataFrame:
    """Collect the figures of `folder`/VARIANT.json, a row a variant, best test accuracy first."""
    rows = {}
    for variant in variants:
        try:
            metrics = json.loads((folder / f"{variant}.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UserError(f"{folder / variant}.json: no such file; run `dvc repro` to make it") from None
        splits = [split for split in ("train", "validation", "test") if split in metrics]
        rows[variant] = {
            "parameters": f"{metrics['parameters']:,}",
            **{f"{split} accuracy": metrics[split]["accuracy"] for split in splits},
            "test macro F1": metrics["test"]["macro_f1"],
            "test loss": metrics["test"]["loss"],
            "calibration error": metrics["test"]["ece"],
        }
    return pd.DataFrame.from_dict(rows, orient="index").sort_values("test accuracy", ascending=False)


def main() -> None:
    """Print the table and the places."""
    loaded = params.load()
    print(f"\nResults on {loaded.data.source}\n")
    print(table(Path("metrics"), list(loaded.variants)).to_string(float_format="{:.3f}".format))
    print(
        "\nModels          data/models/VARIANT/\n"
        "Predictions     data/predictions/VARIANT.parquet\n"
        "Explanations    data/explanations/VARIANT.html\n"
        "Figures         metrics/VARIANT.json   (dvc metrics show, dvc metrics diff)\n"
        "Plots           dvc plots show"
    )


if __name__ == "__main__":
    run(main)
