"""Stepping through the batches of an epoch: one compiled scan, on all parameters or on the rows in use."""

from functools import partial
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from flaxtext.models.forward import Parameters
from flaxtext.text.vectors import Vectors
from flaxtext.train import sparse_adam
from flaxtext.train.bags import BagLayout, Bags
from flaxtext.train.chunks import ChunkLayout, Chunks
from flaxtext.train.network import Network

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
        targets = optax.smooth_labels(jax.nn.one_hot(known, logits.shape[1]), self.label_smoothing)
        losses = optax.softmax_cross_entropy(logits, targets)
        if self.class_weights is not None:
            losses *= jnp.asarray(self.class_weights)[known]
        return jnp.where(labels >= 0, losses, 0).sum()

    def drop(self, ids: jax.Array, key: jax.Array) -> jax.Array:
        """Replace some ids by padding, which is 0."""
        if not self.word_dropout:
            return ids
        return jnp.where(jax.random.bernoulli(key, self.word_dropout, ids.shape), 0, ids)


def with_empty(train: Vectors) -> Vectors:
    """Add an empty document of label -1, to fill up a batch with."""
    return Vectors(np.pad(train.ids, ((0, 1), (0, 0))), np.append(train.labels, np.int32(-1)))


class DenseBatches(NamedTuple):
    """An epoch for the dense path: `ids: int32[steps, batch, max_len]`, `labels: int32[steps, batch]`."""

    ids: jax.Array
    labels: jax.Array


class DenseEpochs:
    """Lays out epochs for `Dense`; `train` comes from `with_empty`."""

    def __init__(self, train: Vectors) -> None:
        self._train = train

    def prepare(self, rows: np.ndarray) -> DenseBatches:
        """Lay out an epoch of `rows: int32[steps, batch]`, documents by number; -1 fills a batch up."""
        return DenseBatches(jnp.asarray(self._train.ids[rows]), jnp.asarray(self._train.labels[rows]))


class Dense:
    """Any optimizer of optax, on all parameters in every step."""

    def __init__(
        self,
        graph: Graph,
        parameters: Parameters,
        optimizer: optax.GradientTransformation,
        objective: Objective,
        seed: int,
    ) -> None:
        self.parameters = parameters
        self._graph, self._optimizer, self._objective = graph, optimizer, objective
        self._state = optimizer.init(parameters), jax.random.key(seed)

    def compile(self, batches: DenseBatches) -> None:
        """Compile what `run` runs on batches of these shapes, for all trainers made alike."""
        _dense_epoch.lower(*self._arguments(batches)).compile()

    def run(self, batches: DenseBatches) -> jax.Array:
        """Step through an epoch; returns the losses, `float32[steps]`, perhaps before they are computed."""
        self.parameters, self._state, losses = _dense_epoch(*self._arguments(batches))
        return cast(jax.Array, losses)

    def _arguments(self, batches: DenseBatches) -> tuple[Any, ...]:
        return self._graph, self._optimizer, self._objective, self.parameters, self._state, batches


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
    """An epoch for the sparse path.

    Attributes:
        used: int32[steps, used]; the embedding rows that each batch uses, each once; row 0 comes first.
        labels: int32[steps, batch].
        layout: the documents, as indices into the rows in use.
    """

    used: jax.Array
    labels: jax.Array
    layout: Bags | Chunks


class SparseEpochs:
    """Lays out epochs for `Sparse`; `layout` is made of the documents `with_empty`, `labels` are theirs."""

    def __init__(self, layout: BagLayout | ChunkLayout, labels: np.ndarray) -> None:
        self._layout, self._labels = layout, labels

    def prepare(self, rows: np.ndarray) -> SparseBatches:
        """Lay out an epoch of `rows: int32[steps, batch]`, documents by number; -1 fills a batch up."""
        documents, used, layout = self._layout.prepare(rows)
        return SparseBatches(jax.device_put(used), jax.device_put(self._labels[documents]), layout)


class Sparse:
    """Adam, touching only the embedding rows that a batch uses; equal to optax.adam on all of them.

    `is_flat` says that the network lays the embeddings end to end.
    """

    def __init__(
        self,
        graph: Graph,
        parameters: Parameters,
        is_flat: bool,
        rates: np.ndarray,
        objective: Objective,
        seed: int,
    ) -> None:
        self.parameters = parameters
        dense = {name: layer for name, layer in parameters.items() if name != "embedding"}
        head = jax.tree.map(lambda leaf: np.asarray(leaf).T, dense)  # as of turned
        self._graph, self._objective = graph, objective
        self._head = jax.device_put(head)
        self._seed = np.uint32(seed)
        embedding = parameters["embedding"]["embedding"]
        self._epoch = _flat_epoch if is_flat else _pooled_epoch
        self._table = sparse_adam.tables(rates)
        self._rows = sparse_adam.init(embedding)
        self._step = jax.device_put(np.int32(1))
        state = jax.eval_shape(optax.scale_by_adam().init, head)
        self._state = jax.device_put(jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), state))

    def compile(self, batches: SparseBatches) -> None:
        """Compile what `run` runs on batches of these shapes, for all trainers made alike."""
        self._epoch.lower(*self._arguments(batches)).compile()

    def run(self, batches: SparseBatches) -> jax.Array:
        """Step through an epoch; returns the losses, `float32[steps]`, perhaps before they are computed."""
        self._rows, self._head, self._state, self._step, self.parameters, losses = self._epoch(
            *self._arguments(batches)
        )
        return cast(jax.Array, losses)

    def _arguments(self, batches: SparseBatches) -> tuple[Any, ...]:
        return (
            self._graph,
            self._objective,
            self._table,
            self._rows,
            self._head,
            self._state,
            self._step,
            self._seed,
            batches,
        )


def _sparse_epoch(
    graph: Graph,
    objective: Objective,
    table: sparse_adam.Tables,
    rows: sparse_adam.Rows,
    head: Parameters,
    state: Any,
    step: jax.Array,
    seed: jax.Array,
    batches: SparseBatches,
) -> tuple[sparse_adam.Rows, Parameters, Any, jax.Array, Parameters, jax.Array]:
    """Step through the batches; `step: int32[]` counts from 1. Returns all that changed and the losses."""

    def drop(ids: jax.Array, step: jax.Array) -> jax.Array:
        return objective.drop(ids, jax.random.fold_in(jax.random.key(seed), step))

    def loss(used: jax.Array, head: Parameters, batch: SparseBatches, step: jax.Array) -> jax.Array:
        # The table is given by the rows in use alone; the network takes the documents embedded.
        # Its first row is padding's, as in the table itself.
        network = nnx.merge(graph, {"embedding": {"embedding": used}, **turned(head)})
        documents = batch.layout.documents(used, partial(drop, step=step))
        return objective.loss(network.classify(documents), batch.labels)

    def take_step(carry: Any, batch: SparseBatches) -> tuple[Any, jax.Array]:
        rows, head, state, step = carry
        used, read = sparse_adam.read(table, rows, batch.used, step)
        value, (gradient, head_gradient) = jax.value_and_grad(loss, argnums=(0, 1))(used, head, batch, step)
        rows = sparse_adam.write(table, rows, read, gradient, step)
        direction, state = optax.scale_by_adam().update(head_gradient, state)
        head = jax.tree.map(lambda p, d: p - table.learning_rate[step] * d, head, direction)
        return (rows, head, state, step + 1), value

    (rows, head, state, step), losses = jax.lax.scan(take_step, (rows, head, state, step), batches)
    embedding = sparse_adam.embedding(table, rows, step - 1)
    return rows, head, state, step, {"embedding": {"embedding": embedding}, **turned(head)}, losses


def turned(head: Parameters) -> Parameters:
    """Transpose the kernels of dense layers.

    A step holds them transposed, `float32[outputs, inputs]`: their gradients are multiplied out faster that way, by a
    quarter for a wide kernel and three times for an output layer of few classes.
    """
    result: Parameters = jax.tree.map(jnp.transpose, head)
    return result


_compiled = partial(jax.jit, _sparse_epoch, static_argnums=(0, 1), donate_argnums=(3, 4, 5))
# XLA's own loops read embeddings and add them up in one go, which its library of kernels, YNN, does in two.
_NO_YNN = {"xla_cpu_experimental_ynn_fusion_type": ""}
_flat_epoch = _compiled()
_pooled_epoch = _compiled(compiler_options=_NO_YNN)
