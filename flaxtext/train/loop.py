"""Training a network: epoch after epoch, watched on validation; touches no file."""

import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from flaxtext.artifacts.history import Epoch
from flaxtext.config.train import NetworkVariant
from flaxtext.core.errors import UserError
from flaxtext.model.architecture import Architecture, Parameters
from flaxtext.model.calibration import calibrated
from flaxtext.model.prediction import class_probabilities
from flaxtext.text.features import FeatureIds
from flaxtext.train.fast.sgd import SparseSgd
from flaxtext.train.fast.trainer import Fast, serves
from flaxtext.train.network import Network, split
from flaxtext.train.objective import Objective
from flaxtext.train.trainer import Plain, Trainer


class Watched(NamedTuple):
    """Documents as the forward pass takes them, and their labels, `int32[n]`."""

    features: FeatureIds
    labels: np.ndarray


def fit_network(
    architecture: Architecture,
    make: Callable[[], Network],
    train: Watched,
    validation: Watched,
    settings: NetworkVariant,
    *,
    seed: int,
    epochs: int,
    report: Callable[[Epoch, float], object] = lambda _epoch, _seconds: None,
) -> tuple[Parameters, list[Epoch]]:
    """Train the network that `make` makes, with one seed, and return its parameters, of NumPy, and the history.

    A thread lays the first batches out and compiles them, while the network is made. The loss is summed over the batch,
    as the tutorial's; the last, smaller batch counts. With `patience`, training ends after that many epochs, and
    `patience_steps` steps, without a lower validation loss, and the parameters are those of the epoch where it was
    lowest (`best_epoch`). Where probabilities are to be calibrated after training, patience looks at the loss that
    they would then have: otherwise it would end training as soon as a network is too sure, while its answers still get
    better. `report` is called after each epoch with its figures and the seconds it took.

    Raises:
        UserError: the loss is no longer finite.
    """

    def documents_of(epoch: int) -> np.ndarray:
        rng = np.random.default_rng([seed, epoch]) if settings.shuffle else None
        return order(len(train.labels), settings.batch_size, rng)

    def lay_out() -> tuple[Trainer, list[np.ndarray], Any]:
        trainer = choose_trainer(architecture, train, settings, epochs=epochs, seed=seed)
        parts = trainer.segments(documents_of(1))
        segment = trainer.prepare(parts[0])
        trainer.compile(segment)
        return trainer, parts, segment

    with ThreadPoolExecutor(1) as pool:
        laying_out = pool.submit(lay_out)
        network = make()  # meanwhile: that is compiling, for the most part
        trainer, parts, segment = laying_out.result()

    trainer.start(split(network)[1])
    del network
    history: list[Epoch] = []
    best: Parameters | None = None
    for epoch in range(1, epochs + 1):
        started = time.perf_counter()
        following = trainer.segments(documents_of(epoch + 1)) if settings.shuffle and epoch < epochs else parts
        is_last = epoch == epochs
        found = []
        for number in range(len(parts)):
            under_way = trainer.run(segment)
            upcoming = following[0] if number + 1 == len(parts) else parts[number + 1]
            if not (is_last and number + 1 == len(parts)) and (settings.shuffle or len(parts) > 1):
                segment = trainer.prepare(upcoming)  # while the device works
            found.append(np.asarray(under_way, np.float64))
        parts, losses = following, np.concatenate(found)
        if not np.isfinite(losses).all():
            raise UserError(f"epoch {epoch}: the loss is no longer finite; lower train.learning_rate")
        answers = class_probabilities(architecture, trainer.parameters, validation.features, "jax")
        if settings.calibrate and settings.patience is not None:
            answers = calibrated(answers, validation.labels)
        loss, accuracy = score(answers, validation.labels)
        history.append(Epoch(epoch, losses.mean(), losses.sum() / len(train.labels), loss, accuracy))
        report(history[-1], time.perf_counter() - started)
        if settings.patience is not None:
            idle = epoch - best_epoch(history)
            if not idle:
                best = jax.tree.map(np.asarray, trainer.parameters)
            elif idle >= settings.patience and idle * len(losses) >= settings.patience_steps:
                break
    return best or jax.tree.map(np.asarray, trainer.parameters), history


def choose_trainer(
    architecture: Architecture, train: Watched, settings: NetworkVariant, *, epochs: int, seed: int
) -> Trainer:
    """Choose the fast way for weighted features, and for Adam on a pooling that it knows; the plain way for others."""
    batch = min(settings.batch_size, max(1, len(train.labels)))
    steps = -(-len(train.labels) // batch)
    objective = Objective.of(settings, train.labels)
    rate = learning_rate(settings, architecture.classes, batch, len(train.labels))
    rates = learning_rates(rate, settings.schedule, epochs * steps)
    if architecture.weighs:
        return SparseSgd(architecture, *train, rates, objective)
    if settings.optimizer == "adam" and serves(settings.pooling):
        return Fast(architecture, *train, rates, objective, seed, room=settings.shuffle)
    table = jnp.asarray(rates.astype(np.float32))  # by NumPy: there is nothing to compile
    constant = settings.schedule == "constant"
    optimizer = getattr(optax, settings.optimizer)(rate if constant else lambda step: table[step])
    return Plain(architecture, *train, optimizer, objective, seed)


def learning_rate(settings: NetworkVariant, classes: int, batch: int, documents: int) -> float:
    """Return the rate of the first step, for a loss that is summed over the batch.

    `auto`, for the squared hinge of weighted features of norm 1: min(sqrt(classes / 2), 3) by the batch's size, and
    beside pretrained vectors, which a few documents overshoot, times sqrt(documents / 1,000) below 1,000 of them.
    """
    if settings.learning_rate != "auto":
        return settings.learning_rate
    few = min(1.0, math.sqrt(documents / 1000)) if settings.pretrained else 1.0
    return few * min(math.sqrt(classes / 2), 3.0) / batch


def best_epoch(history: list[Epoch]) -> int:
    """Return the number of the epoch with the lowest validation loss, the first of equal ones."""
    return min(history, key=lambda epoch: epoch.validation_loss).epoch


def learning_rates(rate: float, schedule: str, steps: int) -> np.ndarray:
    """Tabulate each step's learning rate, `float64[steps]`: `constant`, or `linear`, falling to 0 after the last."""
    falling = 1 - np.arange(steps) / steps
    return rate * (falling if schedule == "linear" else np.ones(steps))


def order(documents: int, batch_size: int, rng: np.random.Generator | None) -> np.ndarray:
    """Order an epoch: `int32[steps, batch_size]`, document numbers in file order, or shuffled by `rng`.

    The last batch is filled up with -1, which is the empty document that the trainers put last. A batch is no larger
    than all documents together.
    """
    batch_size = min(batch_size, max(1, documents))
    steps = -(-documents // batch_size)
    rows = np.full(steps * batch_size, -1, np.int32)
    rows[:documents] = rng.permutation(documents) if rng else np.arange(documents)
    return rows.reshape(steps, batch_size)


def score(probability: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Return mean cross-entropy and accuracy of `float32[n, classes]` against `int32[n]`; NaN for none."""
    if not len(labels):
        return float("nan"), float("nan")
    likelihood = np.maximum(probability[np.arange(len(labels)), labels], np.finfo(np.float32).tiny)
    return float(-np.log(likelihood).mean()), float((probability.argmax(axis=1) == labels).mean())
