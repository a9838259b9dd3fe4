"""Train one variant.

Reads token ids, vocabulary and pretrained word vectors, and the variant's lines of params.yaml; writes the model, a
folder that predicts with nothing else, the history of its first seed, one row per epoch, and how well the kept epoch
did on validation.
"""

import argparse
from functools import partial
from pathlib import Path

from checkout import fast_start, run_script

with fast_start():
    from flaxtext.artifacts.bundle import write_bundle
    from flaxtext.artifacts.history import write_history
    from flaxtext.artifacts.metrics import write_json
    from flaxtext.artifacts.pretrained import read_pretrained
    from flaxtext.artifacts.token_ids import read_token_ids
    from flaxtext.artifacts.vocabulary import read_vocabulary
    from flaxtext.config.train import read_variant
    from flaxtext.model.architecture import MAX_WORDS
    from flaxtext.model.compilation import configure_jax
    from flaxtext.text.token_ids import Examples
    from flaxtext.train.card import render_card
    from flaxtext.train.lengths import describe_cuts
    from flaxtext.train.variants import average, check_extent, train_variant


def main() -> None:
    """Train each seed, then write model, history and figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("variant")
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--watched", type=Path, required=True, help="the same as --train: watch its validation split")
    parser.add_argument("--unknown", type=Path, required=True, help="the words of train that the vocabulary lacks")
    parser.add_argument("--vocab", type=Path, required=True)
    parser.add_argument("--pretrained", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--history", type=Path, required=True)
    parser.add_argument("--metrics", type=Path, required=True)
    args = parser.parse_args()
    variant = read_variant(args.variant)

    configure_jax()
    words, train = read_vocabulary(args.vocab), read_token_ids(args.train, args.unknown, marks=variant.marks)
    check_extent(variant, len(train.labels), args.variant)
    for line in describe_cuts(train.documents.word_counts, {args.variant: variant.max_len or MAX_WORDS}):
        print(line)

    documents = Examples(train.documents, train.labels)
    if variant.validation_from == "train":
        documents, validation = documents.select(~train.held_out), documents.select(train.held_out)
    else:
        watched = read_token_ids(args.watched, marks=variant.marks)  # whose own unknown words are not told
        validation = Examples(watched.documents, watched.labels)
    trained = train_variant(
        variant,
        documents,
        validation,
        name=args.variant,
        words=words,
        classes=train.classes,
        origin=train.origin,
        known=read_pretrained(args.pretrained),
        say=partial(print, flush=True),
    )
    write_bundle(args.model, trained.model, render_card(trained.model))
    write_history(args.history, trained.histories[0])
    write_json(args.metrics, {name: value for name, value in average(trained.kept).items() if value is not None})


if __name__ == "__main__":
    run_script(main)
