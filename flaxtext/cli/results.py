"""The command `results`: each variant's figures, which of them differ, and where things lie."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

METRICS = Path("metrics")
REPORT = Path("data/report/index.html")


def table(folder: Path, variants: list[str]) -> "pd.DataFrame":
    """Collect the figures of `folder`/VARIANT.json, one row per variant, best test accuracy first."""
    import pandas as pd

    from flaxtext.artifacts.metrics import read_json  # which brings PyArrow

    rows = {}
    for variant in variants:
        metrics = read_json(folder / f"{variant}.json")
        splits = [split for split in ("train", "validation", "test") if split in metrics]
        rows[variant] = {
            "parameters": f"{metrics['parameters']:,}",
            **{f"{split} accuracy": metrics[split]["accuracy"] for split in splits},
            "test macro F1": metrics["test"]["macro_f1"],
            "test loss": metrics["test"]["loss"],
            "calibration error": metrics["test"]["ece"],
        }
    return pd.DataFrame.from_dict(rows, orient="index").sort_values("test accuracy", ascending=False)


def faithfulness(folder: Path, figures: "pd.DataFrame") -> "pd.DataFrame":
    """Collect how true explanations are from `folder`/VARIANT.json, beside the accuracy in `figures`, in its order."""
    import pandas as pd

    from flaxtext.artifacts.metrics import read_json  # which brings PyArrow

    rows = {}
    for variant in figures.index:
        metrics = read_json(folder / f"{variant}.json")
        rows[variant] = {
            "test accuracy": figures.loc[variant, "test accuracy"],
            "comprehensiveness": metrics["lime"]["comprehensiveness"],
            "of random words": metrics["random"]["comprehensiveness"],
            "sufficiency": metrics["lime"]["sufficiency"],
            "of random words ": metrics["random"]["sufficiency"],
            "local fit R2": metrics["lime"]["fit"],
            "stability": metrics["lime"]["stability"],
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def results() -> None:
    """Show each variant's figures, which of them differ, and where things lie; `make run` ends with it."""
    from flaxtext.artifacts.metrics import read_json
    from flaxtext.compare.majority import Majority
    from flaxtext.config import variant_names
    from flaxtext.config.data import Data

    print(f"\nResults on {Data.read('data').source}\n")
    figures = table(METRICS, variant_names())
    print(figures.to_string(float_format="{:.3f}".format))
    print("\nOn the test split, accuracy:")
    compared = read_json(METRICS / "comparison.json")
    for pair in compared["pairs"]:
        print(f"  {pair['says']}")
    for name, standing in compared["variants"].items():
        if standing.get("better_than_majority") is False:
            majority = compared["majority"]
            print(f"  {Majority(majority['class'], majority['accuracy']).no_better(name)}")
    print(
        "\nLIME's explanations: its words taken out (comprehensiveness, more is better) and alone (sufficiency, less):"
    )
    print(faithfulness(METRICS / "explanations", figures).to_string(float_format="{:.3f}".format))
    print(
        "\nModels          data/models/VARIANT/\n"
        "Predictions     data/predictions/VARIANT.parquet\n"
        "Explanations    data/explanations/VARIANT.html\n"
        "Figures         metrics/VARIANT.json   (dvc metrics show, dvc metrics diff)\n"
        "Plots           dvc plots show\n"
        f"Report          {REPORT.resolve()}"
    )
