"""Train one variant.

Reads vectors and vocabulary, and the variant's lines of params.yaml; writes the model, a folder that
predicts with nothing else, and the history, one row an epoch.
"""

import argparse
import math
from pathlib import Path

import jax

from flaxtext import params, vectors, vocabulary
from flaxtext.bundle import build, save_bundle
from flaxtext.card import render_card
from flaxtext.compilation import keep_compiled
from flaxtext.corpus import Corpus
from flaxtext.errors import run
from flaxtext.files import write_text
from flaxtext.network import Network, flat, split
from flaxtext.splits import held_out
from flaxtext.training import Epoch, fit
from flaxtext.vectors import Vectors


def main() -> None:
    """Train, then write model and history."""
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
    config = {
        "variant": args.variant,
        "classes": corpus.classes,
        "max_len": train.ids.shape[1],
        **variant.model_dump(),
        "data": {**corpus.origin, "documents": len(train.labels), "validation_documents": len(validation.labels)},
    }
    network = build(config, words.rows, variant.seed)
    print(f"{args.variant}: {len(train.labels):,} documents, {len(validation.labels):,} for validation,", end=" ")
    print(f"on {jax.devices()[0].device_kind}")
    print_layers(network)

    parameters, history = fit(
        network,
        train,
        validation,
        epochs=variant.epochs,
        batch_size=variant.batch_size,
        optimizer=variant.optimizer,
        learning_rate=variant.learning_rate,
        shuffle=variant.shuffle,
        seed=variant.seed,
        report=lambda epoch, seconds: print_epoch(epoch, seconds, variant.epochs),
    )
    last = {name: None if math.isnan(figure) else round(figure, 6) for name, figure in history[-1]._asdict().items()}
    config["last_epoch"] = last
    save_bundle(args.model, config, parameters, words, render_card(config, parameters, words))
    write_text(args.history, table(history))


def read(train: Path, validation: Path, variant: params.Variant) -> tuple[Vectors, Vectors]:
    """Read the documents to train on and those to watch, which come from another split or are held out."""
    ids, labels = vectors.read(train)
    if variant.validation_from != "train":
        return Vectors(ids, labels), vectors.read(validation)
    chosen = held_out(labels, variant.validation, variant.seed)
    return Vectors(ids[~chosen], labels[~chosen]), Vectors(ids[chosen], labels[chosen])


def table(history: list[Epoch]) -> str:
    """Lay out the history as CSV, a row an epoch."""
    rows = [
        Epoch._fields,
        *((epoch[0], *("" if math.isnan(figure) else f"{figure:.6f}" for figure in epoch[1:])) for epoch in history),
    ]
    return "".join(",".join(map(str, row)) + "\n" for row in rows)


def print_layers(network: Network) -> None:
    """Print each layer's name and shape, and the number of parameters."""
    arrays = flat(split(network)[1])
    for name, array in arrays.items():
        print(f"  {name:<20} {' x '.join(map(str, array.shape)):>14}")
    print(f"  {sum(array.size for array in arrays.values()):,} parameters")


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
