"""Training a variant: from token ids to a classifier. Touches no file."""

import math
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from flaxtext.artifacts.bundle import check_size
from flaxtext.artifacts.history import Epoch
from flaxtext.artifacts.pretrained import NONE, Pretrained
from flaxtext.config.train import LinearVariant, NetworkVariant, Variant
from flaxtext.core.errors import UserError
from flaxtext.model.architecture import ARCHITECTURE, MAX_WORDS, Architecture, Parameters, flatten_parameters
from flaxtext.model.calibration import temperature
from flaxtext.model.classifier import Classifier, ModelInfo, arrange
from flaxtext.model.poolings import POOLINGS
from flaxtext.model.prediction import class_probabilities
from flaxtext.model.tfidf import count_features, inverse_document_frequency, weigh
from flaxtext.text.features import NO_IDS, Features, Reading, fit_features
from flaxtext.text.token_ids import Examples, TokenIds, renumber
from flaxtext.text.vocabulary import Vocabulary
from flaxtext.train.fast.trainer import SUMS
from flaxtext.train.initialization import (
    start_as_naive_bayes,
    start_from_log_ratios,
    start_from_pretrained,
    start_projected,
)
from flaxtext.train.loop import Watched, best_epoch, fit_network, score
from flaxtext.train.network import Network, build, split
from flaxtext.train.vectors import MeanVectors, WordVectors, take_vectors

Say = Callable[[str], object]

MAX_BYTES = 2**33
"""What the embeddings of a batch may take in memory."""
MAX_VALUES = 2**27
"""Values of a table of embeddings whose dimensions are the classes: of features, the most frequent are kept."""
MAX_DIMS = 256
"""Classes that can be dimensions; where there are more, the table has so many, and a layer maps them to the classes."""
MAX_STEPS = 2**25
"""Steps of a training, whose learning rates lie in a table."""
MAX_LINES = 50
"""Epochs whose progress is told: of more, every second one, or third, and so on."""


def check_extent(variant: Variant, documents: int, name: str) -> None:
    """Refuse settings that ask for absurd numbers of steps for so many documents, before any is taken."""
    if isinstance(variant, LinearVariant):
        return
    steps = _epochs(variant, documents) * _steps(variant, documents)
    if steps > MAX_STEPS:
        raise UserError(
            f"{name}: {steps:,} steps, and at most {MAX_STEPS:,} are taken; lower epochs or min_steps, or raise "
            "batch_size"
        )


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

    Both are whole. `origin` says where the documents come from, `source` at least; `known` are the vectors that a
    variant with `pretrained` starts from; `say` is called with each line of progress.

    Raises:
        UserError: the model would be too large, there is too little to learn from or to watch, or the loss is not
            finite.
    """
    check_extent(variant, len(documents.labels), name)
    say(f"{name}: {len(documents.labels):,} documents, {len(validation.labels):,} for validation")
    _check_amounts(variant, name, classes, validation)
    prepared = prepare(variant, documents, validation, words=words, classes=len(classes), known=known)
    seeds = 1 if isinstance(variant, LinearVariant) else variant.seeds
    check_size(prepared.architecture, seeds)
    if isinstance(variant, LinearVariant):
        runs = [_train_linear(variant, prepared, say)]
    else:
        _check_batch(variant, prepared.train, name)
        numbers = range(variant.seed, variant.seed + seeds)
        runs = [_train_network(variant, seed, prepared, say) for seed in numbers]
    data = {**origin, "documents": len(documents.labels), "validation_documents": len(validation.labels)}
    histories = [history for _, history in runs]
    kept = [history[best_epoch(history) - 1 if variant.patience is not None else -1] for history in histories]
    info = ModelInfo(
        classes=classes,
        variant=name,
        kind=variant.model,
        seeds=seeds,
        ensemble=isinstance(variant, NetworkVariant) and variant.ensemble,
        data=data,
        training=heeded(variant),
        last_epoch={"epoch": kept[0].epoch, **average(kept[:1])},
    )
    members = [own for own, _ in runs]
    model = Classifier(info, prepared.architecture, members, prepared.vocabulary, prepared.features)
    return Trained(model, histories, kept)


class Prepared(NamedTuple):
    """Documents as a variant reads them.

    Attributes:
        vocabulary: the words that the model will know.
        features: what it reads in a document.
        architecture: of the model.
        train, validation: the documents.
        idf: float32[rows]; what each row weighs, for a pooling that weighs; of no rows for others.
        pretrained: the vectors of words, by their ids in `vocabulary`, for a variant that starts from them.
        means: those of a pooling that weighs, to be folded into the table.
    """

    vocabulary: Vocabulary
    features: Features
    architecture: Architecture
    train: Watched
    validation: Watched
    idf: np.ndarray
    pretrained: WordVectors | None
    means: MeanVectors | None

    @property
    def words_alone(self) -> Watched:
        """The training documents without the words as which vectors are read."""
        features = self.train.features
        return Watched(features.select(features.rows < self.features.first_vector), self.train.labels)


def prepare(
    variant: Variant, documents: Examples, validation: Examples, *, words: Vocabulary, classes: int, known: Pretrained
) -> Prepared:
    """Fit what a variant reads in documents to those that it is trained on, and read both splits so."""
    pretrained = take_vectors(words, known) if isinstance(variant, NetworkVariant) and variant.pretrained else None
    vocabulary = words if pretrained is None else pretrained.words
    weighs = _weighs(variant)

    def read(examples: Examples) -> TokenIds:
        own = renumber(examples.documents, words.rows, vocabulary)
        own = own if variant.marks else own.without_marks()
        own = own.known(vocabulary.rows) if words.tokenizer == "keras" else own
        return own.first(variant.max_len or MAX_WORDS)

    train, watched = read(documents), read(validation)
    reading = Reading(
        variant.prefix, variant.ngrams, variant.marks, variant.characters, weighs and pretrained is not None
    )
    dims = _dimensions(variant, classes)
    features = fit_features(
        vocabulary.words,
        train,
        reading,
        min_count=variant.ngram_min_count,
        max_rows=MAX_VALUES // dims if weighs else None,
        vectors=NO_IDS if pretrained is None or not weighs else pretrained.ids,
        n_known=len(words) if weighs else None,
    )
    architecture = Architecture(
        rows=features.rows,
        classes=classes,
        pooling="tfidf" if isinstance(variant, LinearVariant) else variant.pooling,
        embed_dim=dims,
        hidden=0 if isinstance(variant, LinearVariant) else variant.hidden,
        output=not (_has_classes_as_dimensions(variant) and dims == classes),
        max_len=variant.max_len,
        **asdict(reading),
    )
    expanded, idf, means = features.expand(train), np.zeros(0, np.float32), None
    if weighs:
        expanded = count_features(expanded)
        idf = inverse_document_frequency(expanded, features.rows)
        if pretrained is not None:
            idf[features.first_vector :] = pretrained.weights
        expanded = weigh(expanded, idf, features.first_character, features.first_vector)
        if pretrained is not None:
            means = MeanVectors(pretrained.vectors, features.first_vector, expanded, int((train.ids > 0).sum()))
    elif not architecture.positions:
        expanded = expanded.closed_up()
    other = arrange(architecture, features.expand(watched), idf, features)
    return Prepared(
        vocabulary,
        features,
        architecture,
        Watched(expanded, documents.labels),
        Watched(other, validation.labels),
        idf,
        pretrained,
        means,
    )


def _weighs(variant: Variant) -> bool:
    return isinstance(variant, LinearVariant) or POOLINGS[variant.pooling].weighs


def _has_classes_as_dimensions(variant: Variant) -> bool:
    return isinstance(variant, LinearVariant) or variant.embed_dim == "classes"


def _dimensions(variant: Variant, classes: int) -> int:
    """Size of an embedding: as asked for, or the classes, up to `MAX_DIMS` of them in a network."""
    if isinstance(variant, LinearVariant):
        return classes
    return min(classes, MAX_DIMS) if variant.embed_dim == "classes" else variant.embed_dim


def heeded(variant: Variant) -> dict[str, Any]:
    """Return the training parameters that a variant heeds, less what its architecture says."""
    if isinstance(variant, LinearVariant):
        return {name: getattr(variant, name) for name in LinearVariant.HEEDED}
    said = {"model", "seeds", "ensemble", *ARCHITECTURE}
    return {name: value for name, value in variant.model_dump().items() if name not in said}


def _check_amounts(variant: Variant, name: str, classes: list[str], validation: Examples) -> None:
    if not isinstance(variant, NetworkVariant):  # calibrates where it can, and knows no patience
        return
    if not len(validation.labels) and (variant.patience is not None or variant.calibrate):
        raise UserError(
            f"{name}: train has too few documents for any to be held out, which patience and calibrate need; "
            "raise vectorize.validation, or turn both off"
        )
    if _weighs(variant):
        return
    if _dimensions(variant, len(classes)) < _taken(variant, len(classes)) + variant.pretrained:
        raise UserError(
            f"{name}: init: log_ratios needs a dimension for each of the {len(classes)} classes"
            f"{', and pretrained some more' if variant.pretrained else ''}; "
            f"raise embed_dim from {variant.embed_dim}, or leave init out"
        )


def _check_batch(variant: NetworkVariant, train: Watched, name: str) -> None:
    """Refuse batches whose embeddings would take too much memory; where rows are added up, nothing holds them."""
    if _weighs(variant) or (variant.optimizer == "adam" and variant.pooling in SUMS and not variant.word_dropout):
        return
    lengths = np.sort(train.features.lengths)[::-1]
    batch = lengths[: variant.batch_size]  # in parts of which none is more than a few times as wide as its narrowest
    size = 4 * int(batch.sum() + len(batch)) * _dimensions(variant, 1)
    if size > MAX_BYTES:
        raise UserError(
            f"{name}: the embeddings of a batch would take {size >> 30:,} GB, and {MAX_BYTES >> 30} are allowed; "
            "lower batch_size, embed_dim or max_len"
        )


def average(epochs: list[Epoch]) -> dict[str, float | None]:
    """Average the figures of epochs of several seeds, rounded to six digits; None for what is NaN."""
    figures = {name: float(np.mean([getattr(epoch, name) for epoch in epochs])) for name in Epoch._fields[1:]}
    return {name: None if math.isnan(figure) else round(figure, 6) for name, figure in figures.items()}


def _train_network(variant: NetworkVariant, seed: int, prepared: Prepared, say: Say) -> tuple[Parameters, list[Epoch]]:
    """Train the network that the variant describes, with one seed."""
    architecture, train, validation, idf, means = (
        prepared.architecture,
        prepared.train,
        prepared.validation,
        prepared.idf,
        prepared.means,
    )
    if means is not None:
        architecture = replace(architecture, rows=means.rows)
        train, validation = (one._replace(features=means.in_place(one.features)) for one in (train, validation))
        idf = idf[: means.rows]

    def make() -> Network:
        network = build(architecture, seed)
        if variant.seeds > 1:
            say(f"seed {seed}")
        if seed == variant.seed:
            say(_layers(split(network)[1]))
        if prepared.pretrained is not None and means is None:
            start_from_pretrained(network, prepared.pretrained, _taken(variant, architecture.classes))
        if architecture.weighs:
            weighted: Any = network.embedding
            weighted.idf[...] = jnp.asarray(idf)
        if variant.init == "log_ratios":
            _start(network, train, prepared)
        return network

    epochs = _epochs(variant, len(train.labels))
    every = -(-epochs // MAX_LINES)

    def report(epoch: Epoch, seconds: float) -> None:
        if epoch.epoch == 1 or epoch.epoch % every == 0:
            say(_progress(epoch, seconds, epochs))

    parameters, history = fit_network(
        architecture, make, train, validation, variant, seed=seed, epochs=epochs, report=report
    )
    if variant.patience is not None:
        say(f"kept: epoch {best_epoch(history)}, of the lowest validation loss")
    if means is not None:
        table = means.fold(parameters["embedding"]["embedding"])
        parameters = {**parameters, "embedding": {"embedding": table, "idf": prepared.idf}}
    if variant.calibrate:
        parameters = _calibrated(prepared.architecture, parameters, prepared.validation, say)
    return parameters, history


def _start(network: Network, train: Watched, prepared: Prepared) -> None:
    """Let a network start from log-count ratios, in the form that its pooling and its layers take."""
    if not prepared.architecture.weighs:
        start_from_log_ratios(network, *train)
    elif prepared.architecture.output:
        start_projected(network, *train)
    elif prepared.means is None:
        start_as_naive_bayes(network, *train)
    else:
        start_as_naive_bayes(network, *prepared.words_alone, prepared.means.of(prepared.train.features))


def _calibrated(architecture: Architecture, parameters: Parameters, validation: Watched, say: Say) -> Parameters:
    """Divide the logits by the temperature that makes the labels of the validation documents likeliest."""
    answers = class_probabilities(architecture, parameters, validation.features, "jax")
    divisor = temperature(np.log(np.maximum(answers, np.finfo(np.float32).tiny)), validation.labels)
    say(f"calibrated: logits divided by {divisor:.2f}")
    layers = ["output"] if architecture.output else ["output", "embedding"]
    divided = {name: {key: array / np.float32(divisor) for key, array in parameters[name].items()} for name in layers}
    if "embedding" in divided:
        divided["embedding"] = {**parameters["embedding"], "embedding": divided["embedding"]["embedding"]}
    return {**parameters, **divided}


def _train_linear(variant: LinearVariant, prepared: Prepared, say: Say) -> tuple[Parameters, list[Epoch]]:
    """Train scikit-learn's linear model; its history is one row. Margins are no probabilities until calibrated."""
    from flaxtext.train.linear import fit_linear  # which brings SciPy; a network needs none

    architecture, train, validation = prepared.architecture, prepared.train, prepared.validation
    parameters = fit_linear(variant, *train, prepared.idf, architecture.classes)
    say(_layers(parameters))
    if len(validation.labels):
        parameters = _calibrated(architecture, parameters, validation, say)
    watched, (loss, accuracy) = (
        score(class_probabilities(architecture, parameters, one.features, "numpy"), one.labels)
        for one in (validation, train)
    )
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
