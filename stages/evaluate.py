"""Judge one variant; the only stage that reads the test split for figures.

Reads the model and both splits' vectors; writes every document's prediction, by the model and by each seed, the
figures, and the test split's true and predicted classes for the confusion matrix.
"""

import argparse
import csv
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import flaxtext.core.startup
from flaxtext.core import params
from flaxtext.core.files import atomic, write_json
from flaxtext.evaluate.evaluation import confusion, evaluate, report
from flaxtext.models.bundle import load_bundle
from flaxtext.models.compilation import configure_jax
from flaxtext.text import vectors
from flaxtext.text.splits import held_out


def main() -> None:
    """Predict both splits and write predictions and figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("variant")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--predictions", type=Path, required=True)
    parser.add_argument("--confusion", type=Path, required=True)
    parser.add_argument("--metrics", type=Path, required=True)
    args = parser.parse_args()
    bins = params.load().evaluate.calibration_bins

    configure_jax()
    model = load_bundle(args.model, every_seed=True)
    train, test = vectors.read(args.train), vectors.read(args.test)
    labels = np.concatenate([train.labels, test.labels])
    each = np.concatenate([model.each(train.ids), model.each(test.ids)], axis=1)
    probability = model.combine(each)
    rows = np.concatenate([np.arange(len(train.labels)), np.arange(len(test.labels))])
    splits = np.array(["train"] * len(train.labels) + ["test"] * len(test.labels), dtype=object)
    if model.config["validation_from"] == "train":
        chosen = held_out(train.labels, model.config["validation"], model.config["seed"])
        splits[: len(chosen)][chosen] = "validation"

    metrics: dict[str, Any] = {
        split: evaluate(probability[splits == split], labels[splits == split], model.classes, bins)
        for split in ("train", "validation", "test")
        if (splits == split).any()
    }
    predicted = probability.argmax(axis=1)
    is_test = splits == "test"
    print(f"{args.variant} on the test split")
    print(report(metrics["test"], confusion(predicted[is_test], labels[is_test], len(model.classes))))
    print("  ".join(f"{split} accuracy {figures['accuracy']:.3f}" for split, figures in metrics.items()))

    by_seed = each.argmax(axis=2)
    if len(by_seed) > 1:
        metrics["seeds"] = spread((by_seed[:, is_test] == labels[is_test]).mean(axis=1))
        print("test accuracy by seed: mean {mean:.4f}, standard deviation {std:.4f}".format(**metrics["seeds"]))

    names = pa.array(model.classes)
    table = pa.table(
        {
            "row": pa.array(rows),
            "split": pa.array(splits, pa.string()),
            "label": names.take(pa.array(labels)),
            "predicted": names.take(pa.array(predicted)),
            "probabilities": pa.FixedSizeListArray.from_arrays(pa.array(probability.reshape(-1)), len(model.classes)),
            "by_seed": pa.FixedSizeListArray.from_arrays(names.take(pa.array(by_seed.T.reshape(-1))), len(by_seed)),
        }
    )
    with atomic(args.predictions) as temporary:
        pq.write_table(table, temporary, compression="zstd")
    with atomic(args.confusion) as temporary:
        pairs = table.select(["label", "predicted"]).filter(pa.array(is_test))
        with temporary.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(pairs.column_names)
            writer.writerows(zip(*pairs.to_pydict().values(), strict=True))
    write_json(args.metrics, {**metrics, "parameters": model.size})


def spread(accuracy: np.ndarray) -> dict[str, Any]:
    """Describe the test accuracies of the seeds, `float[seeds]`."""
    figures = {"mean": accuracy.mean(), "std": accuracy.std(ddof=1)}
    return {**{name: round(float(value), 6) for name, value in figures.items()}, "runs": accuracy.round(6).tolist()}


if __name__ == "__main__":
    flaxtext.core.startup.run(main)
