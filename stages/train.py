"""Train one variant.

Reads vectors, vocabulary and pretrained word vectors, and the variant's lines of params.yaml; writes the model, a
folder that predicts with nothing else, the history of its first seed, one row an epoch, and how well the kept epoch
did on validation.
"""

import argparse
import math
from functools import partial
from pathlib import Path

import flaxtext.core.startup
from flaxtext.core import params
from flaxtext.core.files import write_json, write_text
from flaxtext.models.bundle import save_bundle
from flaxtext.models.compilation import configure_jax
from flaxtext.text import pretrained, vectors, vocabulary
from flaxtext.text.corpus import Corpus
from flaxtext.text.splits import held_out
from flaxtext.text.vectors import Vectors
from flaxtext.train.card import render_card
from flaxtext.train.training import Epoch
from flaxtext.train.variants import average, train


def main() -> None:
    """Train each seed, then write model, history and figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("variant")
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--validation", type=Path, required=True, help="the same as --train: hold out a share")
    parser.add_argument("--vocab", type=Path, required=True)
    parser.add_argument("--pretrained", type=Path, required=True)
    parser.add_argument("--classes", type=Path, required=True, help="the split that names the classes")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--history", type=Path, required=True)
    parser.add_argument("--metrics", type=Path, required=True)
    args = parser.parse_args()
    variant = params.variant(params.load(), args.variant)

    configure_jax()
    words = vocabulary.load(args.vocab)
    documents, validation = read(args.train, args.validation, variant)
    corpus = Corpus(args.classes)
    trained = train(
        variant,
        documents,
        validation,
        name=args.variant,
        words=words,
        classes=corpus.classes,
        origin=corpus.origin,
        known=pretrained.load(args.pretrained),
        say=partial(print, flush=True),
    )
    card = render_card(trained.config, trained.members[0], words)
    save_bundle(args.model, trained.config, trained.members, words, trained.features.keys, card)
    write_text(args.history, table(trained.histories[0]))
    figures = {name: figure for name, figure in average(trained.kept).items() if figure is not None}
    write_json(args.metrics, figures)


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


if __name__ == "__main__":
    flaxtext.core.startup.run(main)
