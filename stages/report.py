"""Write the report: one page with all that the run found, which also answers for the variants.

Reads every variant's model, history, predictions and explanations, the test split's texts and the figures in
`metrics/`; writes `data/report/index.html`.
"""

import argparse
from pathlib import Path

from checkout import fast_start, run_script

with fast_start():
    from flaxtext.artifacts.bundle import read_bundle
    from flaxtext.artifacts.corpus import Corpus
    from flaxtext.artifacts.history import read_history
    from flaxtext.artifacts.importance import read_importance
    from flaxtext.artifacts.metrics import read_json
    from flaxtext.artifacts.predictions import read_predictions
    from flaxtext.config.params import read_params
    from flaxtext.core.files import write_text
    from flaxtext.report.page import render_report, rows_needed
    from flaxtext.report.run import Run


def main() -> None:
    """Gather what the other stages wrote, and render it."""
    parser = argparse.ArgumentParser(description=__doc__)
    for folder in ("models", "history", "predictions", "explanations", "importance", "metrics"):
        parser.add_argument(f"--{folder}", type=Path, required=True, help="a folder with a file or folder per variant")
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--html", type=Path, required=True)
    args = parser.parse_args()
    params = read_params()
    variants = list(params.variants)

    predictions = {name: read_predictions(args.predictions / f"{name}.parquet") for name in variants}
    page = render_report(
        Run(
            params=params,
            metrics={name: read_json(args.metrics / f"{name}.json") for name in variants},
            histories={name: read_history(args.history / f"{name}.csv") for name in variants},
            predictions=predictions,
            explanations={name: read_json(args.explanations / f"{name}.json") for name in variants},
            models={name: read_bundle(args.models / name) for name in variants},
            texts=Corpus(args.test).take(rows_needed(predictions, params.report.mistakes)),
            faithfulness={name: read_json(args.metrics / "explanations" / f"{name}.json") for name in variants},
            importance={name: read_importance(args.importance / f"{name}.parquet") for name in variants},
            comparison=read_json(args.metrics / "comparison.json"),
            checks=read_json(args.metrics / "data.json"),
        )
    )
    write_text(args.html, page)
    print(f"{args.html}: {len(page.encode()) / 1e6:.1f} MB")


if __name__ == "__main__":
    run_script(main)
