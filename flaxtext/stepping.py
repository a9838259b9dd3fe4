"""Stepping through the batches of an epoch: one compiled scan, on all parameters or on the rows in use."""

from functools import partial
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from flaxtext import sparse_adam
from flaxtext.network import Network, Parameters
from flaxtext.vectors import Vectors

Graph = nnx.GraphDef[Network]


class Objective(NamedTuple):
    """What a step lowers; hashable, since a compiled epoch is made for it.

    Attributes:
        label_smoothing: share of a document's label that is spread over all classes (Szegedy et al. 2016).
        word_dropout: share of the ids that each step leaves out (Iyyer et al. 2015).
        class_weights: what a document of each class counts; None for 1 each.
    """

    label_smoothing: float = 0.0
    word_dropout: float = 0.0
    class_weights: tuple[float, ...] | None = None

    def loss(self, logits: jax.Array, labels: jax.Array) -> jax.Array:
        """Cross-entropy summed over a batch; a label of -1 fills the batch up and does not count."""
        known = jnp.maximum(labels, 0)
        if self.label_smoothing:
            targets = optax.smooth_labels(jax.nn.one_hot(known, logits.shape[1]), self.label_smoothing)
            losses = optax.softmax_cross_entropy(logits, targets)
        else:
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, known)
        if self.class_weights is not None:
            losses *= jnp.asarray(self.class_weights)[known]
        return jnp.where(labels >= 0, losses, 0).sum()

    def drop(self, ids: jax.Array, key: jax.Array) -> jax.Array:
        """Replace some ids by padding, which is 0."""
        if not self.word_dropout:
            return ids
        return jnp.where(jax.random.bernoulli(key, self.word_dropout, ids.shape), 0, ids)


def _with_empty(train: Vectors) -> Vectors:
    """Add an empty document of label -1, to fill up a batch with."""
    return Vectors(np.pad(train.ids, ((0, 1), (0, 0))), np.append(train.labels, np.int32(-1)))


def _lengths(ids: np.ndarray) -> np.ndarray:
    """Count the positions of each document before its padding, `int[n]`."""
    return np.where(ids.any(axis=1), ids.shape[1] - np.argmax(ids[:, ::-1] != 0, axis=1), 0)


class DenseBatches(NamedTuple):
    """An epoch for the dense path: `ids: int32[steps, batch, max_len]`, `labels: int32[steps, batch]`."""

    ids: jax.Array
    labels: jax.Array


class Dense:
    """Any optimizer of optax, on all parameters in every step."""

    def __init__(
        self,
        graph: Graph,
        parameters: Parameters,
        train: Vectors,
        optimizer: optax.GradientTransformation,
        objective: Objective,
        seed: int,
    ) -> None:
        self.parameters = parameters
        self._graph, self._train, self._optimizer, self._objective = graph, _with_empty(train), optimizer, objective
        self._state = optimizer.init(parameters), jax.random.key(seed)

    def prepare(self, rows: np.ndarray) -> DenseBatches:
        """Lay out an epoch of `rows: int32[steps, batch]`, documents by number; -1 fills a batch up."""
        return DenseBatches(jnp.asarray(self._train.ids[rows]), jnp.asarray(self._train.labels[rows]))

    def run(self, batches: DenseBatches) -> jax.Array:
        """Step through an epoch; returns the losses, `float32[steps]`, perhaps before they are computed."""
        self.parameters, self._state, losses = _dense_epoch(
            self._graph, self._optimizer, self._objective, self.parameters, self._state, batches
        )
        return cast(jax.Array, losses)


@partial(jax.jit, static_argnums=(0, 1, 2), donate_argnums=(3, 4))
def _dense_epoch(
    graph: Graph,
    optimizer: optax.GradientTransformation,
    objective: Objective,
    parameters: Parameters,
    state: Any,
    batches: DenseBatches,
) -> tuple[Parameters, Any, jax.Array]:
    """Step through the batches; returns parameters, state and the losses, `float32[steps]`."""

    def step(carry: tuple[Parameters, Any], batch: DenseBatches) -> tuple[tuple[Parameters, Any], jax.Array]:
        parameters, (state, key) = carry
        key, dropping = jax.random.split(key)
        ids = objective.drop(batch.ids, dropping)
        value, gradient = jax.value_and_grad(
            lambda parameters: objective.loss(nnx.merge(graph, parameters)(ids), batch.labels)
        )(parameters)
        updates, state = optimizer.update(gradient, state, parameters)
        return (optax.apply_updates(parameters, updates), (state, key)), value

    (parameters, state), losses = jax.lax.scan(step, (parameters, state), batches)
    return parameters, state, losses


class SparseBatches(NamedTuple):
    """An epoch for the sparse path. The documents of a batch are sorted by length, longest first.

    Attributes:
        rows: int32[steps, used]; the embedding rows that each batch uses, each once; row 0 comes first.
        positions: int32[steps, ids]; the ids of a batch as indices into its `rows`, chunk after chunk.
        labels: int32[steps, batch].
        widths: of each chunk of documents, the positions that are not padding in all of them.
    """

    rows: jax.Array
    positions: jax.Array
    labels: jax.Array
    widths: tuple[int, ...]


class Sparse:
    """Adam, touching only the embedding rows that a batch uses; equal to optax.adam on all of them.

    A batch, its documents sorted by length, is cut into `chunks`, each no wider than its documents need. `is_flat`
    says that the network lays the embeddings end to end.
    """

    def __init__(
        self,
        graph: Graph,
        parameters: Parameters,
        train: Vectors,
        chunks: int,
        is_flat: bool,
        rates: np.ndarray,
        objective: Objective,
        seed: int,
    ) -> None:
        embedding = parameters["embedding"]["embedding"]
        head = {name: layer for name, layer in parameters.items() if name != "embedding"}
        self._graph, self._train, self._head, self._objective = graph, _with_empty(train), head, objective
        self._key = jax.random.key(seed)
        self._epoch = _flat_epoch if is_flat else _pooled_epoch
        self._lengths = _lengths(self._train.ids)
        self._nobody = len(embedding)
        self._table = sparse_adam.tables(rates)
        self._rows = sparse_adam.init(embedding)
        self._embedding = embedding
        self._step = jnp.int32(1)
        state = jax.eval_shape(optax.scale_by_adam().init, head)
        self._state = jax.tree.map(lambda leaf: jnp.array(np.zeros(leaf.shape, leaf.dtype)), state)  # compiles nothing
        # Shapes only grow, with some room, so that an epoch shuffled anew seldom needs another compilation.
        self._widths = [1] * chunks  # a maximum is one of something
        self._used = 0

    @property
    def parameters(self) -> Parameters:
        """The network's parameters after the last epoch."""
        return {"embedding": {"embedding": self._embedding}, **self._head}

    def prepare(self, rows: np.ndarray) -> SparseBatches:
        """Lay out an epoch of `rows: int32[steps, batch]`, documents by number; -1 fills a batch up."""
        lengths = self._lengths[rows]
        longest_first = np.argsort(-lengths, axis=1, kind="stable")
        rows = np.take_along_axis(rows, longest_first, axis=1)
        ids = []
        for chunk, documents in enumerate(np.array_split(rows, len(self._widths), axis=1)):
            width = int(self._lengths[documents].max(initial=0))
            if width > self._widths[chunk]:
                self._widths[chunk] = min(-(-(width + 1) // 4) * 4, self._train.ids.shape[1])
            ids.append(self._train.ids[documents, : self._widths[chunk]].reshape(len(rows), -1))
        used, positions = self._renumber(np.concatenate(ids, axis=1))
        labels = self._train.labels[rows]
        return SparseBatches(jnp.asarray(used), jnp.asarray(positions), jnp.asarray(labels), tuple(self._widths))

    def _renumber(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """List the rows that each step of `ids: int32[steps, ids]` uses, and number its ids by that list."""
        used = []
        positions = np.empty_like(ids)
        position = np.zeros(self._nobody, np.int32)
        for step, step_ids in enumerate(ids):
            is_used = np.zeros(self._nobody, bool)
            is_used[0] = True
            is_used[step_ids] = True
            used.append(np.flatnonzero(is_used))
            position[used[-1]] = np.arange(len(used[-1]))
            np.take(position, step_ids, out=positions[step], mode="clip")  # "raise" would go by a copy
        most = max(map(len, used))
        if most > self._used:
            self._used = -(-(most + most // 50) // 256) * 256
        padded = np.full((len(used), self._used), self._nobody, np.int32)
        for step, rows in enumerate(used):
            padded[step, : len(rows)] = rows
        return padded, positions

    def run(self, batches: SparseBatches) -> jax.Array:
        """Step through an epoch; returns the losses, `float32[steps]`, perhaps before they are computed."""
        self._rows, self._head, self._state, self._step, self._embedding, losses = self._epoch(
            self._graph,
            self._objective,
            batches.widths,
            self._table,
            self._rows,
            self._head,
            self._state,
            self._step,
            self._key,
            batches[:-1],
        )
        return cast(jax.Array, losses)


def _sparse_epoch(
    graph: Graph,
    objective: Objective,
    widths: tuple[int, ...],
    table: sparse_adam.Tables,
    rows: sparse_adam.Rows,
    head: Parameters,
    state: Any,
    step: jax.Array,
    key: jax.Array,
    batches: tuple[jax.Array, jax.Array, jax.Array],
) -> tuple[sparse_adam.Rows, Parameters, Any, jax.Array, jax.Array, jax.Array]:
    """Step through the batches; `step: int32[]` counts from 1. Returns all that changed and the losses."""
    sizes = [len(chunk) for chunk in np.array_split(np.arange(batches[2].shape[1]), len(widths))]
    bounds = np.cumsum([size * width for size, width in zip(sizes, widths, strict=True)])[:-1]

    def loss(used: jax.Array, head: Parameters, positions: jax.Array, labels: jax.Array) -> jax.Array:
        # The table is given by the rows in use alone; the network takes the documents embedded.
        # Its first row is padding's, as in the table itself.
        network = nnx.merge(graph, {"embedding": {"embedding": used}, **head})
        vectors = jnp.split(used.at[positions].get(mode="promise_in_bounds"), bounds)
        present = jnp.split(positions != 0, bounds)
        logits = [
            network.classify(chunk.reshape(size, width, used.shape[1]), is_word.reshape(size, width), used[0])
            for chunk, is_word, size, width in zip(vectors, present, sizes, widths, strict=True)
        ]
        return objective.loss(jnp.concatenate(logits), labels)

    def take_step(carry: Any, batch: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[Any, jax.Array]:
        rows, head, state, step = carry
        indices, positions, labels = batch
        positions = objective.drop(positions, jax.random.fold_in(key, step))
        used, read = sparse_adam.read(table, rows, indices, step)
        value, (gradient, head_gradient) = jax.value_and_grad(loss, argnums=(0, 1))(used, head, positions, labels)
        rows = sparse_adam.write(table, rows, read, gradient, step)
        direction, state = optax.scale_by_adam().update(head_gradient, state)
        head = jax.tree.map(lambda p, d: p - table.learning_rate[step] * d, head, direction)
        return (rows, head, state, step + 1), value

    (rows, head, state, step), losses = jax.lax.scan(take_step, (rows, head, state, step), batches)
    return rows, head, state, step, sparse_adam.embedding(table, rows, step - 1), losses


_compiled = partial(jax.jit, _sparse_epoch, static_argnums=(0, 1, 2), donate_argnums=(4, 5, 6))
_flat_epoch = _compiled()
# XLA's own loops read embeddings and add them up in one go, which its library of kernels, YNN, does in two.
_pooled_epoch = _compiled(compiler_options={"xla_cpu_experimental_ynn_fusion_type": ""})
