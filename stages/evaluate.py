"""Judge one variant; the only stage that reads the test split for figures.

Reads the model and both splits' token ids, and from the texts' files the columns that the source keeps; writes every
document's prediction, by the model and by each seed, with these columns, the figures, and the test split's true and
predicted classes for the confusion matrix.
"""

import argparse
from itertools import chain
from pathlib import Path
from typing import Any

from checkout import fast_start, run_script

with fast_start():
    import numpy as np

    from flaxtext.artifacts.bundle import read_bundle
    from flaxtext.artifacts.corpus import Corpus
    from flaxtext.artifacts.metrics import write_confusion, write_json
    from flaxtext.artifacts.predictions import write_predictions
    from flaxtext.artifacts.token_ids import read_token_ids
    from flaxtext.compare.majority import beside_majority
    from flaxtext.config.evaluate import Evaluate
    from flaxtext.evaluate.evaluation import confusion, describe_figures, evaluate, spread
    from flaxtext.model.compilation import configure_jax


def main() -> None:
    """Predict both splits and write predictions and figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("variant")
    for name in ("model", "train", "test", "predictions", "confusion", "metrics"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--texts", type=Path, nargs=2, default=(), help="both splits, if they have columns to keep")
    args = parser.parse_args()
    bins = Evaluate.read("evaluate").calibration_bins

    configure_jax()
    model = read_bundle(args.model, every_seed=True)
    train, test = read_token_ids(args.train), read_token_ids(args.test)
    labels = np.concatenate([train.labels, test.labels])
    cut = [split.documents.cut(model.architecture.max_len, model.vocabulary.rows) for split in (train, test)]
    each = np.concatenate([model.each(ids, backend="jax") for ids in cut], axis=1)
    probability = model.combine(each)
    splits = np.array(["train"] * len(train.labels) + ["test"] * len(test.labels), dtype=object)
    if model.info.training["validation_from"] == "train":
        splits[: len(train.labels)][train.held_out] = "validation"

    metrics: dict[str, Any] = {
        split: evaluate(probability[splits == split], labels[splits == split], model.classes, bins)
        for split in ("train", "validation", "test")
        if (splits == split).any()
    }
    predicted, by_seed, is_test = probability.argmax(axis=1), each.argmax(axis=2), splits == "test"
    print(f"{args.variant} on the test split")
    print(describe_figures(metrics["test"], confusion(predicted[is_test], labels[is_test], len(model.classes))))
    print("  ".join(f"{split} accuracy {figures['accuracy']:.3f}" for split, figures in metrics.items()))
    print(beside_majority(args.variant, model.classes, train.labels, labels[is_test], predicted[is_test]))
    if len(by_seed) > 1:
        metrics["seeds"] = spread((by_seed[:, is_test] == labels[is_test]).mean(axis=1))
        print("test accuracy by seed: mean {mean:.4f}, standard deviation {std:.4f}".format(**metrics["seeds"]))

    write_predictions(
        args.predictions,
        classes=model.classes,
        splits=splits,
        rows=np.concatenate([np.arange(len(train.labels)), np.arange(len(test.labels))]),
        labels=labels,
        probabilities=probability,
        by_seed=by_seed,
        kept=chain.from_iterable(Corpus(path).kept_columns() for path in args.texts),
    )
    names = np.array(model.classes, object)
    write_confusion(args.confusion, zip(names[labels[is_test]], names[predicted[is_test]], strict=True))
    write_json(args.metrics, {**metrics, "parameters": model.size})


if __name__ == "__main__":
    run_script(main)
