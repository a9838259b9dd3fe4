"""Training: one compiled scan over the batches of an epoch; touches no file."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from flaxtext import sparse_adam
from flaxtext.errors import UserError
from flaxtext.network import Network, Parameters, probabilities, split
from flaxtext.vectors import Vectors

Graph = nnx.GraphDef[Network]

ROWS_MULTIPLE = 1024
"""The number of embedding rows that a batch may use is rounded up to a multiple of this."""


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
    network: Network,
    train: Vectors,
    validation: Vectors,
    *,
    epochs: int,
    batch_size: int,
    optimizer: str,
    learning_rate: float,
    shuffle: bool,
    seed: int,
    report: Callable[[Epoch, float], object] = lambda _epoch, _seconds: None,
) -> tuple[Parameters, list[Epoch]]:
    """Train a network and return its parameters and the history.

    The loss is softmax cross-entropy summed over the batch, as the tutorial's; the last, smaller batch
    counts. `report` is called after each epoch with its figures and the seconds it took.

    Raises:
        UserError: the loss is no longer finite.
    """
    steps = -(-len(train.labels) // batch_size)
    graph, parameters = split(network)
    if optimizer == "adam":
        rates = np.full(epochs * steps, learning_rate)
        trainer: Any = _Sparse(graph, parameters, train, rates)
    else:
        trainer = _Dense(graph, parameters, train, getattr(optax, optimizer)(learning_rate))

    history = []
    batches = None
    for epoch in range(1, epochs + 1):
        started = time.perf_counter()
        if shuffle or batches is None:
            rng = np.random.default_rng([seed, epoch]) if shuffle else None
            batches = trainer.prepare(order(len(train.labels), batch_size, rng))
        losses = trainer.run(batches)
        if not np.isfinite(losses).all():
            raise UserError(f"epoch {epoch}: the loss is no longer finite; lower train.learning_rate")
        loss, accuracy = score(probabilities(graph, trainer.parameters, validation.ids), validation.labels)
        history.append(Epoch(epoch, losses.mean(), losses.sum() / len(train.labels), loss, accuracy))
        report(history[-1], time.perf_counter() - started)
    return trainer.parameters, history


def order(documents: int, batch_size: int, rng: np.random.Generator | None) -> np.ndarray:
    """Lay out an epoch: `int32[steps, batch_size]`, document rows in file order, or shuffled by `rng`.

    The last batch is filled up with -1.
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


def _loss(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Cross-entropy summed over a batch; a label of -1 fills the batch up and does not count."""
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.maximum(labels, 0))
    return jnp.where(labels >= 0, losses, 0).sum()


class _Batches(NamedTuple):
    """An epoch for the dense path: `ids: int32[steps, batch, max_len]`, `labels: int32[steps, batch]`."""

    ids: jax.Array
    labels: jax.Array


class _Dense:
    """Any optimizer of optax, on all parameters in every step."""

    def __init__(
        self, graph: Graph, parameters: Parameters, train: Vectors, optimizer: optax.GradientTransformation
    ) -> None:
        self.parameters = parameters
        self._graph, self._train, self._optimizer = graph, train, optimizer
        self._state = optimizer.init(parameters)

    def prepare(self, rows: np.ndarray) -> _Batches:
        return _Batches(jnp.asarray(self._train.ids[rows]), _labels(self._train, rows))

    def run(self, batches: _Batches) -> np.ndarray:
        self.parameters, self._state, losses = _dense_epoch(
            self._graph, self._optimizer, self.parameters, self._state, batches
        )
        return np.asarray(losses, np.float64)


@partial(jax.jit, static_argnums=(0, 1), donate_argnums=(2, 3))
def _dense_epoch(
    graph: Graph, optimizer: optax.GradientTransformation, parameters: Parameters, state: Any, batches: _Batches
) -> tuple[Parameters, Any, jax.Array]:
    """Step through the batches; returns parameters, state and the losses, `float32[steps]`."""

    def step(carry: tuple[Parameters, Any], batch: _Batches) -> tuple[tuple[Parameters, Any], jax.Array]:
        parameters, state = carry
        value, gradient = jax.value_and_grad(
            lambda parameters: _loss(nnx.merge(graph, parameters)(batch.ids), batch.labels)
        )(parameters)
        updates, state = optimizer.update(gradient, state, parameters)
        return (optax.apply_updates(parameters, updates), state), value

    (parameters, state), losses = jax.lax.scan(step, (parameters, state), batches)
    return parameters, state, losses


class _SparseBatches(NamedTuple):
    """An epoch for the sparse path.

    Attributes:
        rows: int32[steps, used]; the embedding rows that each batch uses, each once.
        positions: int32[steps, batch, max_len]; ids as indices into the batch's `rows`.
        labels: int32[steps, batch].
    """

    rows: jax.Array
    positions: jax.Array
    labels: jax.Array


class _Sparse:
    """Adam, touching only the embedding rows that a batch uses; equal to optax.adam on all of them."""

    def __init__(self, graph: Graph, parameters: Parameters, train: Vectors, rates: np.ndarray) -> None:
        embedding = parameters["embedding"]["embedding"]
        head = {name: layer for name, layer in parameters.items() if name != "embedding"}
        self._graph, self._train, self._head = graph, train, head
        self._nobody = len(embedding)
        self._table = sparse_adam.tables(rates)
        self._rows = sparse_adam.init(embedding)
        self._embedding = embedding
        self._step = jnp.int32(1)
        self._state = optax.scale_by_adam().init(head)

    @property
    def parameters(self) -> Parameters:
        return {"embedding": {"embedding": self._embedding}, **self._head}

    def prepare(self, rows: np.ndarray) -> _SparseBatches:
        used, positions = [], np.empty((*rows.shape, self._train.ids.shape[1]), np.int32)
        position = np.zeros(self._nobody, np.int32)
        for step, documents in enumerate(rows):
            ids = self._train.ids[documents]
            is_used = np.zeros(self._nobody, bool)
            is_used[ids.reshape(-1)] = True
            used.append(np.flatnonzero(is_used))
            position[used[-1]] = np.arange(len(used[-1]))
            np.take(position, ids, out=positions[step])
        width = -(-max(map(len, used)) // ROWS_MULTIPLE) * ROWS_MULTIPLE  # few widths, few compilations
        padded = np.full((len(used), width), self._nobody, np.int32)
        for step, indices in enumerate(used):
            padded[step, : len(indices)] = indices
        return _SparseBatches(jnp.asarray(padded), jnp.asarray(positions), _labels(self._train, rows))

    def run(self, batches: _SparseBatches) -> np.ndarray:
        self._rows, self._head, self._state, self._step, self._embedding, losses = _sparse_epoch(
            self._graph, self._table, self._rows, self._head, self._state, self._step, batches
        )
        return np.asarray(losses, np.float64)


@partial(jax.jit, static_argnums=0, donate_argnums=(2, 3, 4))
def _sparse_epoch(
    graph: Graph,
    table: sparse_adam.Tables,
    rows: sparse_adam.Rows,
    head: Parameters,
    state: Any,
    step: jax.Array,
    batches: _SparseBatches,
) -> tuple[sparse_adam.Rows, Parameters, Any, jax.Array, jax.Array, jax.Array]:
    """Step through the batches; `step: int32[]` counts from 1. Returns all that changed and the losses."""

    def take_step(carry: Any, batch: _SparseBatches) -> tuple[Any, jax.Array]:
        rows, head, state, step = carry
        packed = sparse_adam.read(table, rows, batch.rows, step)
        used = packed[:, : packed.shape[1] // 3]

        def loss(used: jax.Array, head: Parameters) -> jax.Array:
            # The network's own table has no part in this; an empty one keeps its shape honest.
            network = nnx.merge(graph, {"embedding": {"embedding": used}, **head})
            return _loss(network.classify(used.at[batch.positions].get(mode="promise_in_bounds")), batch.labels)

        value, (gradient, head_gradient) = jax.value_and_grad(loss, argnums=(0, 1))(used, head)
        rows = sparse_adam.write(rows, batch.rows, sparse_adam.update(table, packed, gradient, step), step)
        direction, state = optax.scale_by_adam().update(head_gradient, state)
        head = jax.tree.map(lambda p, d: p - table.learning_rate[step] * d, head, direction)
        return (rows, head, state, step + 1), value

    (rows, head, state, step), losses = jax.lax.scan(take_step, (rows, head, state, step), batches)
    rows, embedding = sparse_adam.finish(table, rows, step - 1)
    return rows, head, state, step, embedding, losses


def _labels(train: Vectors, rows: np.ndarray) -> jax.Array:
    return jnp.asarray(np.where(rows >= 0, train.labels[rows], -1))
