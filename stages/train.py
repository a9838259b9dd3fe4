"""Train one variant.

Reads vectors and vocabulary, and the variant's lines of params.yaml; writes the model, a folder that
predicts with nothing else, and the history of its first seed, one row an epoch.
"""

import argparse
import math
from pathlib import Path
from typing import Any

import numpy as np

from flaxtext import features, params, vectors, vocabulary
from flaxtext.bundle import build, save_bundle
from flaxtext.card import render_card
from flaxtext.compilation import keep_compiled
from flaxtext.corpus import Corpus
from flaxtext.errors import run
from flaxtext.files import write_text
from flaxtext.network import Parameters, flat, split
from flaxtext.params import LinearVariant, NetworkVariant
from flaxtext.splits import held_out
from flaxtext.training import Epoch, best_epoch, fit, score
from flaxtext.vectors import Vectors


def main() -> None:
    """Train each seed, then write model and history."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("variant")
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--validation", type=Path, required=True, help="the same as --train: hold out a share")
    parser.add_argument("--vocab", type=Path, required=True)
    parser.add_argument("--classes", type=Path, required=True, help="the split that names the classes")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--history", type=Path, required=True)
    args = parser.parse_args()
    variant = params.variant(params.load(), args.variant)

    keep_compiled()
    words = vocabulary.load(args.vocab)
    train, validation = read(args.train, args.validation, variant)
    corpus = Corpus(args.classes)
    config: dict[str, Any] = {
        "variant": args.variant,
        "classes": corpus.classes,
        "max_len": train.ids.shape[1],
        **variant.model_dump(),
        "data": {**corpus.origin, "documents": len(train.labels), "validation_documents": len(validation.labels)},
    }
    print(f"{args.variant}: {len(train.labels):,} documents, {len(validation.labels):,} for validation")

    reads = features.fit(
        words.words, train.ids, stem=variant.stem, ngrams=variant.ngrams, min_count=variant.ngram_min_count
    )
    train, validation = (Vectors(reads.expand(ids), labels) for ids, labels in (train, validation))
    if isinstance(variant, LinearVariant):
        runs = [train_linear(variant, train, validation, reads.rows, len(corpus.classes))]
    else:
        runs = [train_network(variant, seed, config, train, validation, reads.rows) for seed in seeds(variant)]
    members, histories = [parameters for parameters, _ in runs], [history for _, history in runs]
    config |= {"seeds": len(runs), "last_epoch": rounded(last(variant, histories[0]))}
    save_bundle(args.model, config, members, words, reads.keys, render_card(config, members[0], words))
    write_text(args.history, table(histories[0]))


def read(train: Path, validation: Path, variant: params.Variant) -> tuple[Vectors, Vectors]:
    """Read the documents to train on and those to watch, which come from another split or are held out."""
    ids, labels = vectors.read(train)
    if variant.validation_from != "train":
        return Vectors(ids, labels), vectors.read(validation)
    chosen = held_out(labels, variant.validation, variant.seed)
    return Vectors(ids[~chosen], labels[~chosen]), Vectors(ids[chosen], labels[chosen])


def seeds(variant: params.Variant) -> range:
    """Return the seeds to train with, one after the other."""
    return range(variant.seed, variant.seed + variant.seeds)


def train_network(
    variant: NetworkVariant, seed: int, config: dict[str, Any], train: Vectors, validation: Vectors, rows: int
) -> tuple[Parameters, list[Epoch]]:
    """Train the network that the variant describes, with one seed."""
    network = build(config, rows, seed)
    if variant.seeds > 1:
        print(f"seed {seed}")
    if seed == variant.seed:
        print_layers(split(network)[1])
    settings = ("epochs", "batch_size", "optimizer", "learning_rate", "schedule", "shuffle", "patience")
    objective = ("label_smoothing", "word_dropout", "class_weights")
    parameters, history = fit(
        network,
        train,
        validation,
        **{name: getattr(variant, name) for name in (*settings, *objective)},
        seed=seed,
        report=lambda epoch, seconds: print_epoch(epoch, seconds, variant.epochs),
    )
    if variant.patience is not None:
        print(f"kept: epoch {best_epoch(history)}, of the lowest validation loss")
    return parameters, history


def train_linear(
    variant: LinearVariant, train: Vectors, validation: Vectors, rows: int, classes: int
) -> tuple[Parameters, list[Epoch]]:
    """Train scikit-learn's linear model; its history is one row."""
    from flaxtext import linear  # scikit-learn takes a second to import

    model = linear.fit(
        train,
        validation,
        rows=rows,
        classes=classes,
        c=variant.C,
        class_weights=variant.class_weights,
        seed=variant.seed,
    )
    parameters = {"linear": model._asdict()}
    print_layers(parameters)
    watched = score(linear.probabilities(model, validation.ids), validation.labels)
    loss, accuracy = score(linear.probabilities(model, train.ids), train.labels)
    print(f"train accuracy {accuracy:.3f}, validation accuracy {watched[1]:.3f}")
    return parameters, [Epoch(1, math.nan, loss, *watched)]


def last(variant: params.Variant, history: list[Epoch]) -> Epoch:
    """Return the epoch whose parameters are kept."""
    return history[best_epoch(history) - 1] if variant.patience is not None else history[-1]


def rounded(epoch: Epoch) -> dict[str, float | None]:
    """Round an epoch's figures to six digits, for JSON."""
    return {name: None if math.isnan(figure) else round(figure, 6) for name, figure in epoch._asdict().items()}


def table(history: list[Epoch]) -> str:
    """Lay out the history as CSV, a row an epoch."""
    rows = [
        Epoch._fields,
        *((epoch[0], *("" if math.isnan(figure) else f"{figure:.6f}" for figure in epoch[1:])) for epoch in history),
    ]
    return "".join(",".join(map(str, row)) + "\n" for row in rows)


def print_layers(parameters: Parameters) -> None:
    """Print each array's name and shape, and the number of parameters."""
    arrays = flat(parameters)
    for name, array in arrays.items():
        print(f"  {name:<20} {' x '.join(map(str, array.shape)):>14}")
    print(f"  {sum(np.size(array) for array in arrays.values()):,} parameters")


def print_epoch(epoch: Epoch, seconds: float, epochs: int) -> None:
    """Print how an epoch went and the time that is left."""
    left = seconds * (epochs - epoch.epoch)
    print(
        f"epoch {epoch.epoch:>2}/{epochs}  loss {epoch.batch_loss:9.3f}"
        f"  validation accuracy {epoch.validation_accuracy:.3f}  {seconds:.2f} s, {left:.0f} s left",
        flush=True,
    )


if __name__ == "__main__":
    run(main)
