"""What each part of the best variant is worth, on documents held out of the training split; test is not read."""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bench import PROJECT, documents, our_token_ids
from bench.__main__ import SHARED
from bench.our_models import is_right, train_shipped
from bench.wholes import BEST
from flaxtext.config.params import read_params
from flaxtext.config.train import LinearVariant
from flaxtext.core.errors import run
from flaxtext.model.compilation import configure_jax
from flaxtext.text.token_ids import Examples

CHANGES: dict[str, dict[str, Any]] = {
    "as shipped": {},
    "without pairs": {"ngrams": 1},
    "without marks": {"marks": False},
    "without characters": {"characters": 0},
    "words alone": {"ngrams": 1, "marks": False, "characters": 0},
    "characters: 4": {"characters": 4},
    "ngrams: 3": {"ngrams": 3},
    "n-grams that occur twice or more": {"ngram_min_count": 2},
    "init: random": {"init": "random"},
    "embed_dim: 16": {"embed_dim": 16, "init": "random"},
    "loss: cross_entropy": {"loss": "cross_entropy", "learning_rate": 0.05},
    "epochs: 4": {"epochs": 4},
    "epochs: 16": {"epochs": 16},
    "batch_size: 256": {"batch_size": 256},
    "constant learning rate": {"schedule": "constant"},
    "three seeds, averaged": {"seeds": 3, "ensemble": True},
}


def main() -> None:
    """Train the best variant with one part changed, and print each change's accuracies."""
    parser = argparse.ArgumentParser(prog="python -m bench.ablation", description=__doc__)
    parser.add_argument("--source", type=Path, default=SHARED if SHARED.is_dir() else PROJECT / "data/raw")
    parser.add_argument("--fraction", type=float, default=0.15, help="of the training documents, held out of each fold")
    parser.add_argument("--folds", type=int, default=3)
    args = parser.parse_args()
    if not 0 < args.fraction * args.folds <= 1:
        parser.error("--fraction times --folds is to be at most 1")

    configure_jax()
    loaded = read_params(PROJECT / "params.yaml").variants
    with tempfile.TemporaryDirectory() as scratch:
        found = documents.load(args.source, None)
        documents.write(found, Path(scratch))
        our_token_ids.in_files(scratch, fit_on=["train"], tokenizer="unicode")
        files = our_token_ids.Files(scratch)
        train = files.whole("train")
        print(
            f"{found.description}; {args.folds} folds, each holds {args.fraction:.0%} of the training documents out\n"
        )
        print("| | held-out accuracy | difference (standard error) |\n| --- | --- | --- |")
        linear = [name for name, variant in loaded.items() if isinstance(variant, LinearVariant)]
        tried = {
            **{what: (BEST, changes) for what, changes in CHANGES.items()},
            **{name: (name, {}) for name in linear},
        }
        shipped = np.zeros(0)
        for what, (name, changes) in tried.items():
            right = []
            for seed, (known, held) in enumerate(folds(train, args.fraction, args.folds)):
                variant = loaded[name].model_copy(update={**changes, "seed": 100 * seed})
                right.append(is_right(train_shipped(variant, known, held, files), held))
            correct = np.concatenate(right).astype(float)
            shipped = shipped if len(shipped) else correct
            change = correct - shipped
            error = change.std() / np.sqrt(len(change))
            difference = f"{change.mean():+.4f} ({error:.4f})" if error else ""
            print(f"| {what} | {correct.mean():.4f} | {difference} |", flush=True)


def folds(documents: Examples, fraction: float, count: int) -> Iterator[tuple[Examples, Examples]]:
    """Hold out a fraction of the documents, another one each time; yields those to train on and those held out."""
    order = np.random.default_rng(7).permutation(len(documents.labels))
    size = int(fraction * len(order))
    for fold in range(count):
        chosen = np.zeros(len(order), bool)
        chosen[order[fold * size : (fold + 1) * size]] = True
        yield documents.select(~chosen), documents.select(chosen)


if __name__ == "__main__":
    run(main)
