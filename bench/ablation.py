"""What each part of the best variant is worth, on documents held out of the training split; test is not read."""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bench import PROJECT, documents, our_vectors
from bench.__main__ import SHARED
from bench.our_models import hold_out, train_shipped
from bench.wholes import BEST
from flaxtext import params
from flaxtext.bundle import Classifier
from flaxtext.compilation import keep_compiled
from flaxtext.errors import run
from flaxtext.params import LinearVariant
from flaxtext.training import score

CHANGES: dict[str, dict[str, Any]] = {
    "as shipped": {},
    "without n-grams": {"ngrams": 1},
    "without stems": {"stem": None},
    "without either": {"ngrams": 1, "stem": None},
    "all pairs, not only those that occur three times": {"ngram_min_count": 1},
    "pooling: masked_mean": {"pooling": "masked_mean"},
    "init: random": {"init": "random"},
    "init: random, pooling: max": {"init": "random", "pooling": "max"},
    "init: random, pooling: attention": {"init": "random", "pooling": "attention"},
    "init: random, hidden: 100": {"init": "random", "hidden": 100},
    "embed_dim: 16": {"embed_dim": 16},
    "embed_dim: 64": {"embed_dim": 64},
    "epochs: 3": {"epochs": 3},
    "epochs: 6": {"epochs": 6},
    "epochs: 6, init: random": {"epochs": 6, "init": "random"},
    "without label smoothing": {"label_smoothing": 0.0},
    "without word dropout": {"word_dropout": 0.0},
    "constant learning rate": {"schedule": "constant"},
    "three seeds, averaged": {"seeds": 3, "ensemble": True},
}


def main() -> None:
    """Train the best variant with one part changed, and print each change's accuracies."""
    parser = argparse.ArgumentParser(prog="python -m bench.ablation", description=__doc__)
    parser.add_argument("--source", type=Path, default=SHARED if SHARED.is_dir() else PROJECT / "data/raw")
    parser.add_argument("--share", type=float, default=0.15, help="of the training documents, held out")
    parser.add_argument("--seeds", type=int, default=2)
    args = parser.parse_args()

    keep_compiled()
    loaded = params.load(PROJECT / "params.yaml").variants
    with tempfile.TemporaryDirectory() as scratch:
        found = documents.load(args.source, None)
        documents.write(found, Path(scratch))
        our_vectors.in_files(scratch, fit_on=["train"])
        files = our_vectors.Files(scratch)
        train, validation = hold_out(files.vectors("train"), args.share)
        print(f"{found.description}; {len(validation.labels):,} of them held out, the mean of {args.seeds} seeds\n")
        print("| | held-out accuracy |\n| --- | --- |")
        linear = [name for name, variant in loaded.items() if isinstance(variant, LinearVariant)]
        tried = {
            **{what: (BEST, changes) for what, changes in CHANGES.items()},
            **{name: (name, {}) for name in linear},
        }
        for what, (name, changes) in tried.items():
            accuracy = []
            for seed in range(args.seeds):
                variant = loaded[name].model_copy(update={**changes, "seed": 100 * seed})
                trained = train_shipped(variant, train, validation, files)
                model = Classifier(trained.config, trained.members, files.words, trained.features)
                accuracy.append(score(model.probabilities(validation.ids), validation.labels)[1])
            print(f"| {what} | {np.mean(accuracy):.4f} |", flush=True)


if __name__ == "__main__":
    run(main)
