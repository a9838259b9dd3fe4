"""Training a variant: from documents as ids to all that a bundle holds. Touches no file."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from flaxtext.core.errors import UserError
from flaxtext.core.params import LinearVariant, NetworkVariant, Variant
from flaxtext.models import features
from flaxtext.models.bundle import check_size
from flaxtext.models.calibration import temperature
from flaxtext.models.features import Features
from flaxtext.models.forward import Parameters, flat, probabilities
from flaxtext.text.pretrained import NONE, Pretrained
from flaxtext.text.vectors import Vectors
from flaxtext.text.vocabulary import Vocabulary
from flaxtext.train.initialization import start_from_log_ratios, start_from_pretrained
from flaxtext.train.network import Network, build, outline, split
from flaxtext.train.training import Epoch, best_epoch, fit, score

Say = Callable[[str], object]

MAX_LINES = 50
"""Epochs whose progress is told: of more, every second one, or third, and so on."""


class Trained(NamedTuple):
    """A trained variant.

    Attributes:
        config: what config.json is to say.
        members: the parameters of each seed, the first seed's first.
        features: what the model reads in a document.
        histories: of each seed, an epoch after the other.
    """

    config: dict[str, Any]
    members: list[Parameters]
    features: Features
    histories: list[list[Epoch]]

    @property
    def kept(self) -> list[Epoch]:
        """Of each seed, the epoch whose parameters are kept: the best with patience, otherwise the last."""
        has_patience = self.config["patience"] is not None
        return [history[best_epoch(history) - 1 if has_patience else -1] for history in self.histories]


def train(
    variant: Variant,
    documents: Vectors,
    validation: Vectors,
    *,
    name: str,
    words: Vocabulary,
    classes: list[str],
    origin: dict[str, Any],
    known: Pretrained = NONE,
    say: Say = lambda _: None,
) -> Trained:
    """Train a variant, each seed after the other, on `documents` while watching `validation`.

    `origin` says where the documents come from, `source` at least; `known` are the vectors that a variant with
    `pretrained` starts from; `say` is called with each line of progress.

    Raises:
        UserError: the model would be too large, there is too little to learn from or to watch, or the loss is not
            finite.
    """
    config: dict[str, Any] = {
        "variant": name,
        "classes": classes,
        "max_len": documents.ids.shape[1],
        **variant.model_dump(),
        "data": {**origin, "documents": len(documents.labels), "validation_documents": len(validation.labels)},
    }
    say(f"{name}: {len(documents.labels):,} documents, {len(validation.labels):,} for validation")
    if not len(validation.labels) and (variant.patience is not None or variant.calibrate):
        raise UserError(
            f"{name}: train has too few documents for any to be held out, which patience and calibrate need; "
            "raise validation, or turn both off"
        )
    if isinstance(variant, NetworkVariant) and variant.embed_dim < _taken(variant, classes) + variant.pretrained:
        raise UserError(
            f"{name}: init: log_ratios needs a dimension for each of the {len(classes)} classes"
            f"{', and pretrained some more' if variant.pretrained else ''}; "
            f"raise embed_dim from {variant.embed_dim}, or leave init out"
        )
    reads = features.fit(
        words.words, documents.ids, stem=variant.stem, ngrams=variant.ngrams, min_count=variant.ngram_min_count
    )
    documents, validation = (Vectors(reads.expand(ids), labels) for ids, labels in (documents, validation))
    if isinstance(variant, LinearVariant):
        config["seeds"] = 1
        check_size(config, reads.rows)
        runs = [_train_linear(variant, documents, validation, reads.rows, len(classes), say)]
    else:
        seeds = range(variant.seed, variant.seed + variant.seeds)
        runs = [_train_network(variant, seed, config, documents, validation, reads.rows, known, say) for seed in seeds]
    trained = Trained(config, [parameters for parameters, _ in runs], reads, [history for _, history in runs])
    config["last_epoch"] = {"epoch": trained.kept[0].epoch, **average(trained.kept[:1])}
    return trained


def average(epochs: list[Epoch]) -> dict[str, float | None]:
    """Average the figures of epochs of several seeds, rounded to six digits; None for what is NaN."""
    figures = {name: float(np.mean([getattr(epoch, name) for epoch in epochs])) for name in Epoch._fields[1:]}
    return {name: None if math.isnan(figure) else round(figure, 6) for name, figure in figures.items()}


def _train_network(
    variant: NetworkVariant,
    seed: int,
    config: dict[str, Any],
    documents: Vectors,
    validation: Vectors,
    rows: int,
    known: Pretrained,
    say: Say,
) -> tuple[Parameters, list[Epoch]]:
    """Train the network that the variant describes, with one seed."""
    check_size(config, rows)

    def make() -> Network:
        network = build(config, rows, seed)
        if variant.seeds > 1:
            say(f"seed {seed}")
        if seed == variant.seed:
            say(_layers(split(network)[1]))
        if variant.pretrained:
            start_from_pretrained(network, known, _taken(variant, config["classes"]))
        if variant.init == "log_ratios":
            start_from_log_ratios(network, documents.ids, documents.labels)
        return network

    steps = max(1, -(-len(documents.labels) // variant.batch_size))
    epochs = max(variant.epochs, -(-variant.min_steps // steps))
    every = -(-epochs // MAX_LINES)

    def report(epoch: Epoch, seconds: float) -> None:
        if epoch.epoch == 1 or epoch.epoch % every == 0:
            say(_progress(epoch, seconds, epochs))

    settings = ("batch_size", "optimizer", "learning_rate", "schedule", "shuffle", "patience")
    objective = ("label_smoothing", "word_dropout", "class_weights")
    parameters, history = fit(
        outline(config, rows),
        make,
        documents,
        validation,
        **{name: getattr(variant, name) for name in (*settings, *objective)},
        epochs=epochs,
        seed=seed,
        report=report,
    )
    if variant.patience is not None:
        say(f"kept: epoch {best_epoch(history)}, of the lowest validation loss")
    if variant.calibrate:
        answers = probabilities(variant.pooling, parameters, validation.ids)
        divisor = temperature(np.log(np.maximum(answers, np.finfo(np.float32).tiny)), validation.labels)
        say(f"calibrated: logits divided by {divisor:.2f}")
        parameters["output"] = {name: array / divisor for name, array in parameters["output"].items()}
    return parameters, history


def _train_linear(
    variant: LinearVariant, documents: Vectors, validation: Vectors, rows: int, classes: int, say: Say
) -> tuple[Parameters, list[Epoch]]:
    """Train scikit-learn's linear model; its history is one row."""
    from flaxtext.models import linear  # which brings SciPy; a network needs none

    model = linear.fit(
        documents,
        validation,
        rows=rows,
        classes=classes,
        c=variant.C,
        class_weights=variant.class_weights,
        seed=variant.seed,
    )
    parameters = {"linear": model._asdict()}
    say(_layers(parameters))
    watched = score(linear.probabilities(model, validation.ids), validation.labels)
    loss, accuracy = score(linear.probabilities(model, documents.ids), documents.labels)
    say(f"train accuracy {accuracy:.3f}, validation accuracy {watched[1]:.3f}")
    return parameters, [Epoch(1, math.nan, loss, *watched)]


def _taken(variant: NetworkVariant, classes: list[str]) -> int:
    """Count the dimensions of an embedding that log-count ratios take."""
    return len(classes) if variant.init == "log_ratios" else 0


def _layers(parameters: Parameters) -> str:
    """List each array's name and shape, and the number of parameters."""
    arrays = flat(parameters)
    lines = [f"  {name:<20} {' x '.join(map(str, array.shape)):>14}" for name, array in arrays.items()]
    return "\n".join([*lines, f"  {sum(np.size(array) for array in arrays.values()):,} parameters"])


def _progress(epoch: Epoch, seconds: float, epochs: int) -> str:
    """Say how an epoch went and the time that is left."""
    return (
        f"epoch {epoch.epoch:>2}/{epochs}  loss {epoch.batch_loss:9.3f}"
        f"  validation accuracy {epoch.validation_accuracy:.3f}"
        f"  {seconds:.2f} s, {seconds * (epochs - epoch.epoch):.0f} s left"
    )
