"""Training a variant: from token ids to a classifier. Touches no file."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from flaxtext.artifacts.bundle import check_size
from flaxtext.artifacts.history import Epoch
from flaxtext.artifacts.pretrained import NONE, Pretrained
from flaxtext.config.train import LinearVariant, NetworkVariant, Variant
from flaxtext.core.errors import UserError
from flaxtext.model.architecture import Architecture, Parameters, flatten_parameters
from flaxtext.model.calibration import temperature
from flaxtext.model.classifier import Classifier, ModelInfo
from flaxtext.model.linear import linear_probabilities
from flaxtext.model.prediction import class_probabilities
from flaxtext.text.features import fit_features
from flaxtext.text.token_ids import Examples
from flaxtext.text.vocabulary import Vocabulary
from flaxtext.train.fast.trainer import SUMS
from flaxtext.train.initialization import start_from_log_ratios, start_from_pretrained
from flaxtext.train.loop import best_epoch, fit_network, score
from flaxtext.train.network import Network, build, split

Say = Callable[[str], object]

MAX_BYTES = 2**33
"""What the ids of all documents may take in memory, and the embeddings of a batch."""
MAX_STEPS = 2**25
"""Steps of a training, whose learning rates lie in a table."""
MAX_LINES = 50
"""Epochs whose progress is told: of more, every second one, or third, and so on."""


def check_extent(variant: Variant, documents: int, name: str) -> None:
    """Refuse settings that ask for absurd amounts of memory to train on so many documents, before any is taken."""
    ids = 4 * documents * _per_document(variant)
    if ids > MAX_BYTES:
        raise UserError(
            f"{name}: the ids of {documents:,} documents would take {ids >> 30:,} GB, and {MAX_BYTES >> 30} are "
            "allowed; lower max_len or ngrams"
        )
    if isinstance(variant, LinearVariant):
        return
    steps = _epochs(variant, documents) * _steps(variant, documents)
    if steps > MAX_STEPS:
        raise UserError(
            f"{name}: {steps:,} steps, and at most {MAX_STEPS:,} are taken; lower epochs or min_steps, or raise "
            "batch_size"
        )


def _per_document(variant: Variant) -> int:
    """Count the ids of a document, padding included."""
    return Architecture(0, 0, max_len=variant.max_len, prefix=variant.prefix, ngrams=variant.ngrams).positions


def _steps(variant: NetworkVariant, documents: int) -> int:
    """Count the steps of an epoch."""
    return max(1, -(-documents // variant.batch_size))


def _epochs(variant: NetworkVariant, documents: int) -> int:
    """Count the epochs: as many as are asked for, or as make so many steps."""
    return max(variant.epochs, -(-variant.min_steps // _steps(variant, documents)))


class Trained(NamedTuple):
    """A trained variant.

    Attributes:
        model: what it has become.
        histories: of each seed, an epoch after the other.
        kept: of each seed, the epoch whose parameters are kept: the best with patience, otherwise the last.
    """

    model: Classifier
    histories: list[list[Epoch]]
    kept: list[Epoch]


def train_variant(
    variant: Variant,
    documents: Examples,
    validation: Examples,
    *,
    name: str,
    words: Vocabulary,
    classes: list[str],
    origin: dict[str, Any],
    known: Pretrained = NONE,
    say: Say = lambda _: None,
) -> Trained:
    """Train a variant, each seed after the other, on `documents` while watching `validation`.

    Both are cut to `int32[n, max_len]` word ids. `origin` says where the documents come from, `source` at least;
    `known` are the vectors that a variant with `pretrained` starts from; `say` is called with each line of progress.

    Raises:
        UserError: the model would be too large, there is too little to learn from or to watch, or the loss is not
            finite.
    """
    check_extent(variant, len(documents.labels), name)
    say(f"{name}: {len(documents.labels):,} documents, {len(validation.labels):,} for validation")
    _check_amounts(variant, name, classes, validation)
    prefix, ngrams, min_count = variant.prefix, variant.ngrams, variant.ngram_min_count
    features = fit_features(words.words, documents.ids, prefix=prefix, ngrams=ngrams, min_count=min_count)
    architecture = Architecture(
        rows=features.rows, classes=len(classes), max_len=variant.max_len, prefix=prefix, ngrams=ngrams
    )
    data = {**origin, "documents": len(documents.labels), "validation_documents": len(validation.labels)}
    documents, validation = (Examples(features.expand(ids), labels) for ids, labels in (documents, validation))
    if isinstance(variant, LinearVariant):
        seeds = 1
        check_size(architecture, seeds)
        runs = [_train_linear(variant, architecture, documents, validation, say)]
    else:
        seeds = variant.seeds
        architecture = replace(
            architecture, pooling=variant.pooling, embed_dim=variant.embed_dim, hidden=variant.hidden
        )
        check_size(architecture, seeds)
        _check_batch(variant, documents, name)
        numbers = range(variant.seed, variant.seed + seeds)
        runs = [_train_network(variant, seed, architecture, documents, validation, known, say) for seed in numbers]
    histories = [history for _, history in runs]
    kept = [history[best_epoch(history) - 1 if variant.patience is not None else -1] for history in histories]
    info = ModelInfo(
        classes=classes,
        variant=name,
        seeds=seeds,
        ensemble=isinstance(variant, NetworkVariant) and variant.ensemble,
        data=data,
        training=heeded(variant),
        last_epoch={"epoch": kept[0].epoch, **average(kept[:1])},
    )
    return Trained(Classifier(info, architecture, [own for own, _ in runs], words, features), histories, kept)


def heeded(variant: Variant) -> dict[str, Any]:
    """Return the training parameters that a variant heeds, less what its architecture says."""
    if isinstance(variant, LinearVariant):
        return {name: getattr(variant, name) for name in LinearVariant.HEEDED}
    said = ("model", "pooling", "embed_dim", "hidden", "max_len", "prefix", "ngrams", "seeds", "ensemble")
    return {name: value for name, value in variant.model_dump().items() if name not in said}


def _check_amounts(variant: Variant, name: str, classes: list[str], validation: Examples) -> None:
    if not len(validation.labels) and (variant.patience is not None or variant.calibrate):
        raise UserError(
            f"{name}: train has too few documents for any to be held out, which patience and calibrate need; "
            "raise vectorize.validation, or turn both off"
        )
    if isinstance(variant, NetworkVariant) and variant.embed_dim < _taken(variant, len(classes)) + variant.pretrained:
        raise UserError(
            f"{name}: init: log_ratios needs a dimension for each of the {len(classes)} classes"
            f"{', and pretrained some more' if variant.pretrained else ''}; "
            f"raise embed_dim from {variant.embed_dim}, or leave init out"
        )


def _check_batch(variant: NetworkVariant, documents: Examples, name: str) -> None:
    """Refuse batches whose embeddings would take too much memory; where the words are added up, nothing holds them."""
    if variant.optimizer == "adam" and variant.pooling in SUMS and not variant.word_dropout:
        return
    widest = int(np.flatnonzero(documents.ids.any(axis=0)).max(initial=0)) + 1
    batch = min(variant.batch_size, len(documents.labels))
    if (size := 4 * batch * widest * variant.embed_dim) > MAX_BYTES:
        raise UserError(
            f"{name}: the embeddings of a batch would take {size >> 30:,} GB, and {MAX_BYTES >> 30} are allowed; "
            "lower batch_size, embed_dim or max_len"
        )


def average(epochs: list[Epoch]) -> dict[str, float | None]:
    """Average the figures of epochs of several seeds, rounded to six digits; None for what is NaN."""
    figures = {name: float(np.mean([getattr(epoch, name) for epoch in epochs])) for name in Epoch._fields[1:]}
    return {name: None if math.isnan(figure) else round(figure, 6) for name, figure in figures.items()}


def _train_network(
    variant: NetworkVariant,
    seed: int,
    architecture: Architecture,
    documents: Examples,
    validation: Examples,
    known: Pretrained,
    say: Say,
) -> tuple[Parameters, list[Epoch]]:
    """Train the network that the variant describes, with one seed."""

    def make() -> Network:
        network = build(architecture, seed)
        if variant.seeds > 1:
            say(f"seed {seed}")
        if seed == variant.seed:
            say(_layers(split(network)[1]))
        if variant.pretrained:
            start_from_pretrained(network, known, _taken(variant, architecture.classes))
        if variant.init == "log_ratios":
            start_from_log_ratios(network, documents.ids, documents.labels)
        return network

    epochs = _epochs(variant, len(documents.labels))
    every = -(-epochs // MAX_LINES)

    def report(epoch: Epoch, seconds: float) -> None:
        if epoch.epoch == 1 or epoch.epoch % every == 0:
            say(_progress(epoch, seconds, epochs))

    parameters, history = fit_network(
        architecture, make, documents, validation, variant, seed=seed, epochs=epochs, report=report
    )
    if variant.patience is not None:
        say(f"kept: epoch {best_epoch(history)}, of the lowest validation loss")
    if variant.calibrate:
        answers = class_probabilities(architecture, parameters, validation.ids, "jax")
        divisor = temperature(np.log(np.maximum(answers, np.finfo(np.float32).tiny)), validation.labels)
        say(f"calibrated: logits divided by {divisor:.2f}")
        parameters["output"] = {name: array / divisor for name, array in parameters["output"].items()}
    return parameters, history


def _train_linear(
    variant: LinearVariant, architecture: Architecture, documents: Examples, validation: Examples, say: Say
) -> tuple[Parameters, list[Epoch]]:
    """Train scikit-learn's linear model; its history is one row."""
    from flaxtext.train.linear import fit_linear  # which brings SciPy; a network needs none

    model = fit_linear(variant, documents, validation, rows=architecture.rows, classes=architecture.classes)
    parameters = {"linear": model._asdict()}
    say(_layers(parameters))
    watched = score(linear_probabilities(model, validation.ids), validation.labels)
    loss, accuracy = score(linear_probabilities(model, documents.ids), documents.labels)
    say(f"train accuracy {accuracy:.3f}, validation accuracy {watched[1]:.3f}")
    return parameters, [Epoch(1, math.nan, loss, *watched)]


def _taken(variant: NetworkVariant, classes: int) -> int:
    """Count the dimensions of an embedding that log-count ratios take."""
    return classes if variant.init == "log_ratios" else 0


def _layers(parameters: Parameters) -> str:
    """List each array's name and shape, and the number of parameters."""
    arrays = flatten_parameters(parameters)
    lines = [f"  {name:<20} {' x '.join(map(str, array.shape)):>14}" for name, array in arrays.items()]
    return "\n".join([*lines, f"  {sum(np.size(array) for array in arrays.values()):,} parameters"])


def _progress(epoch: Epoch, seconds: float, epochs: int) -> str:
    """Say how an epoch went and the time that is left."""
    return (
        f"epoch {epoch.epoch:>2}/{epochs}  loss {epoch.batch_loss:9.3f}"
        f"  validation accuracy {epoch.validation_accuracy:.3f}"
        f"  {seconds:.2f} s, {seconds * (epochs - epoch.epoch):.0f} s left"
    )
