"""Training: one compiled scan over the batches of an epoch; touches no file."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from flaxtext.core.errors import UserError
from flaxtext.core.pooling import ORDERLESS, POOLINGS, SUMS, flatten
from flaxtext.models.forward import Parameters, probabilities
from flaxtext.text.vectors import Vectors
from flaxtext.train.bags import BagLayout
from flaxtext.train.chunks import ChunkLayout, by_documents, by_ids, uncut
from flaxtext.train.network import Network, split
from flaxtext.train.stepping import Dense, DenseEpochs, Objective, Sparse, SparseEpochs, with_empty


class Epoch(NamedTuple):
    """How an epoch went.

    Attributes:
        epoch: its number, from 1.
        batch_loss: cross-entropy summed over a batch, averaged over the batches: the tutorial's figure.
        train_loss: cross-entropy a document, averaged over the epoch as it went.
        validation_loss: cross-entropy a document, after the epoch; NaN without validation documents.
        validation_accuracy: after the epoch; NaN without validation documents.
    """

    epoch: int
    batch_loss: float
    train_loss: float
    validation_loss: float
    validation_accuracy: float


def fit(
    outline: Network,
    make: Callable[[], Network],
    train: Vectors,
    validation: Vectors,
    *,
    epochs: int,
    batch_size: int,
    optimizer: str,
    learning_rate: float,
    shuffle: bool,
    seed: int,
    schedule: str = "constant",
    patience: int | None = None,
    label_smoothing: float = 0.0,
    word_dropout: float = 0.0,
    class_weights: str | None = None,
    report: Callable[[Epoch, float], object] = lambda _epoch, _seconds: None,
) -> tuple[Parameters, list[Epoch]]:
    """Train the network that `make` makes and return its parameters and the history.

    `outline` is the same network with shapes alone: a thread lays the documents out and compiles an epoch by it,
    while the network is made. The loss is softmax cross-entropy summed over the batch, as the tutorial's; the last,
    smaller batch counts. With `patience`, training ends after that many epochs without a lower validation loss, and
    the parameters are those of the epoch where it was lowest (`best_epoch`). `report` is called after each epoch with
    its figures and the seconds it took.

    Raises:
        UserError: the loss is no longer finite.
    """
    pooling, graph, shapes = outline.pooling, *split(outline)
    rows = shapes["embedding"]["embedding"].shape[0]
    steps = -(-len(train.labels) // batch_size)
    weights = balanced(train.labels) if class_weights == "balanced" else None
    objective = Objective(label_smoothing, word_dropout, weights)
    rates = learning_rates(learning_rate, schedule, epochs * steps)
    table = jnp.asarray(rates.astype(np.float32))  # by NumPy: there is nothing to compile
    update = getattr(optax, optimizer)(learning_rate if schedule == "constant" else lambda step: table[step])

    def rows_of(epoch: int) -> np.ndarray:
        rng = np.random.default_rng([seed, epoch]) if shuffle else None
        return order(len(train.labels), batch_size, rng)

    def start(parameters: Parameters) -> Dense | Sparse:
        if optimizer == "adam":
            return Sparse(graph, parameters, POOLINGS[pooling] is flatten, rates, objective, seed)
        return Dense(graph, parameters, update, objective, seed)

    def lay_out() -> tuple[DenseEpochs | SparseEpochs, Any]:
        ids, labels = documents = with_empty(train)
        layout: DenseEpochs | SparseEpochs = DenseEpochs(documents)
        if optimizer == "adam":
            layout = SparseEpochs(choose_layout(ids, pooling, rows, shuffle, word_dropout), labels)
        batches: Any = layout.prepare(rows_of(1))
        start(jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)).compile(batches)
        return layout, batches

    with ThreadPoolExecutor(1) as pool:
        laying_out = pool.submit(lay_out)
        network = make()  # meanwhile: that is compiling, for the most part
        layout, batches = laying_out.result()

    trainer = start(split(network)[1])
    history: list[Epoch] = []
    best: Parameters | None = None
    for epoch in range(1, epochs + 1):
        started = time.perf_counter()
        under_way = trainer.run(batches)
        if shuffle and epoch < epochs:
            batches = layout.prepare(rows_of(epoch + 1))  # while the device works
        losses = np.asarray(under_way, np.float64)
        if not np.isfinite(losses).all():
            raise UserError(f"epoch {epoch}: the loss is no longer finite; lower train.learning_rate")
        loss, accuracy = score(probabilities(pooling, trainer.parameters, validation.ids), validation.labels)
        history.append(Epoch(epoch, losses.mean(), losses.sum() / len(train.labels), loss, accuracy))
        report(history[-1], time.perf_counter() - started)
        if patience is not None:
            if best_epoch(history) == epoch:
                best = jax.tree.map(np.asarray, trainer.parameters)
            elif epoch - best_epoch(history) >= patience:
                break
    return best or trainer.parameters, history


def choose_layout(
    ids: np.ndarray, pooling: str, rows: int, shuffle: bool, word_dropout: float
) -> BagLayout | ChunkLayout:
    """Choose how the documents `ids: int32[n, max_len]` are laid out for the pooling."""
    pool = POOLINGS[pooling]
    is_orderless = pool in ORDERLESS
    if pool in SUMS and not word_dropout:
        return BagLayout(ids, rows, room=shuffle)
    # Shorter rows pay where each position takes part in a matrix multiplication, or where many hold nothing.
    cut = by_ids if pool is flatten else by_documents if is_orderless else uncut
    return ChunkLayout(close_up(ids) if is_orderless else ids, rows, cut, room=shuffle)


def best_epoch(history: list[Epoch]) -> int:
    """Return the number of the epoch with the lowest validation loss, the first of equal ones."""
    return min(history, key=lambda epoch: epoch.validation_loss).epoch


def learning_rates(rate: float, schedule: str, steps: int) -> np.ndarray:
    """Tabulate each step's learning rate, `float64[steps]`: `constant`, or `linear`, falling to 0 after the last."""
    falling = 1 - np.arange(steps) / steps
    return rate * (falling if schedule == "linear" else np.ones(steps))


def balanced(labels: np.ndarray) -> tuple[float, ...]:
    """Weigh classes so that each counts the same in all, as scikit-learn's `balanced` does; a document's mean is 1.

    Classes without documents have no part in it.
    """
    counts = np.bincount(labels)
    return tuple((len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1))).tolist())


def close_up(ids: np.ndarray) -> np.ndarray:
    """Move what is not padding to the front of each row of `int32[n, width]`, and cut off columns of padding."""
    present = ids != 0
    counts = present.sum(axis=1)
    closed = np.zeros((len(ids), max(1, int(counts.max(initial=0)))), ids.dtype)
    closed[np.arange(closed.shape[1]) < counts[:, None]] = ids[present]
    return closed


def order(documents: int, batch_size: int, rng: np.random.Generator | None) -> np.ndarray:
    """Lay out an epoch: `int32[steps, batch_size]`, document rows in file order, or shuffled by `rng`.

    The last batch is filled up with -1, which is the empty document that the trainers put last.
    """
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
