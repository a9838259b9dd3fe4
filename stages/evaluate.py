"""Judge one variant; the only stage that reads the test split for figures.

Reads the model and both splits' token ids, and from the texts' files the columns that the source keeps; writes every
document's prediction, by the model and by each seed, with these columns, the figures, those of each class, and the test
split's true and predicted classes for the confusion matrix.
"""

import argparse
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from checkout import fast_start, run_script

with fast_start():
    import numpy as np

    from flaxtext.artifacts.bundle import read_bundle
    from flaxtext.artifacts.corpus import Corpus
    from flaxtext.artifacts.metrics import write_class_scores, write_confusion, write_json
    from flaxtext.artifacts.predictions import Answers, write_predictions
    from flaxtext.artifacts.token_ids import VectorizedSplit, read_token_ids
    from flaxtext.compare.majority import beside_majority
    from flaxtext.config.evaluate import Evaluate
    from flaxtext.evaluate.evaluation import ClassScores, describe_figures, drawn_pairs, evaluate, spread
    from flaxtext.model.classifier import Classifier
    from flaxtext.model.compilation import configure_jax
    from flaxtext.text.token_ids import renumber

PROBABILITIES = 2**24
"""Probabilities in memory at a time, at most."""


def main() -> None:
    """Predict both splits and write predictions and figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("variant")
    for name in ("model", "train", "test", "unknown", "predictions", "confusion", "per-class", "metrics"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--texts", type=Path, nargs=2, default=(), help="both splits, if they have columns to keep")
    args = parser.parse_args()
    bins = Evaluate.read("evaluate").calibration_bins

    configure_jax()
    model = read_bundle(args.model, every_seed=True)
    marks = model.architecture.marks
    train, test = (read_token_ids(path, args.unknown, marks=marks) for path in (args.train, args.test))
    labels = np.concatenate([train.labels, test.labels])
    answers = Answers.join([part for own in (train, test) for part in answer(model, own)])
    splits = np.array(["train"] * len(train.labels) + ["test"] * len(test.labels), dtype=object)
    if model.info.training["validation_from"] == "train":
        splits[: len(train.labels)][train.held_out] = "validation"

    by_split = {name: splits == name for name in ("train", "validation", "test") if (splits == name).any()}
    metrics: dict[str, Any] = {
        name: evaluate(answers.select(which), labels[which], model.classes, bins) for name, which in by_split.items()
    }
    is_test = by_split["test"]
    predicted, true = answers.predicted[is_test], labels[is_test]
    print(f"{args.variant} on the test split")
    print(describe_figures(predicted, true, model.classes))
    print("  ".join(f"{split} accuracy {figures['accuracy']:.3f}" for split, figures in metrics.items()))
    print(beside_majority(args.variant, model.classes, train.labels, true, predicted))
    if len(answers.by_seed) > 1:
        metrics["seeds"] = spread((answers.by_seed[:, is_test] == true).mean(axis=1))
        print("test accuracy by seed: mean {mean:.4f}, standard deviation {std:.4f}".format(**metrics["seeds"]))

    write_predictions(
        args.predictions,
        classes=model.classes,
        splits=splits,
        rows=np.concatenate([np.arange(len(train.labels)), np.arange(len(test.labels))]),
        labels=labels,
        answers=answers,
        kept=chain.from_iterable(Corpus(path).kept_columns() for path in args.texts),
    )
    write_confusion(args.confusion, drawn_pairs(predicted, true, model.classes))
    scores = {
        name: ClassScores.of(answers.predicted[which], labels[which], len(model.classes))
        for name, which in by_split.items()
    }
    write_class_scores(
        args.per_class,
        ((name, label, own.of_class(code)) for name, own in scores.items() for code, label in enumerate(model.classes)),
    )
    write_json(args.metrics, {**metrics, "parameters": model.size})


def answer(model: Classifier, split: VectorizedSplit) -> Iterator[Answers]:
    """Answer for a split by parts: the probabilities of all classes take much room."""
    rows = split.first_unknown or model.vocabulary.rows
    documents = max(1, PROBABILITIES // (len(model.members) * len(model.classes)))
    for start in range(0, max(len(split.labels), 1), documents):
        part = slice(start, start + documents)
        each = model.each(model.cut(renumber(split.documents[part], rows, model.vocabulary)), backend="jax")
        yield Answers.of(model.combine(each), split.labels[part], by_seed=each.argmax(axis=2))


if __name__ == "__main__":
    run_script(main)
