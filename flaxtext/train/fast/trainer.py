"""Adam on the embedding rows that a batch uses: the fast way to step through batches, equal to the plain one.

A segment is one compiled scan. Its documents are laid out as an inverted index (`bags`) or in length buckets
(`chunks`); each step reads the rows in use, embeds the documents, asks the one forward pass for logits, and writes the
rows back (`sparse_adam`).
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from flaxtext.model.architecture import Architecture, Parameters, unflatten_parameters
from flaxtext.model.compilation import Compiled
from flaxtext.model.forward import logits
from flaxtext.model.prediction import lay_out
from flaxtext.text.features import FeatureIds
from flaxtext.train.fast import sparse_adam
from flaxtext.train.fast.bags import BagLayout, Bags
from flaxtext.train.fast.chunks import ChunkLayout, Chunks, by_documents, by_ids, uncut
from flaxtext.train.fast.tiles import TiledBatch, TileLayout
from flaxtext.train.objective import Objective

SUMS = ("padded_mean", "padded_sum")
"""Poolings for which the sum over all positions is enough: an inverted index serves them."""

CUTS: dict[str, Callable[[np.ndarray], tuple[int, ...]]] = {
    "flatten": by_ids,
    "padded_mean": uncut,
    "padded_sum": uncut,
    "mean": by_documents,
    "sum": by_documents,
    "max": by_documents,
    "mean_max": by_documents,
    "attention": by_documents,
}
"""How batches are cut into length buckets, by pooling. Shorter rows pay where each position takes part in a matrix
multiplication, or where many hold nothing."""

FEW = 8
"""Up to so many outputs, `product` adds the gradient up output by output."""

SEGMENT_IDS = 2**26
"""Ids of a segment, padding included, about."""


class Segment(NamedTuple):
    """Some batches, laid out.

    Attributes:
        used: int32[steps, used]; the embedding rows that each batch uses, each once; row 0 comes first.
        labels: int32[steps, batch].
        layout: the documents, as indices into the rows in use.
    """

    used: jax.Array
    labels: jax.Array
    layout: Bags | Chunks | TiledBatch


class State(NamedTuple):
    """All that steps change.

    Attributes:
        rows: the embedding table, with its moments.
        head: the dense layers, their kernels transposed, as `turned` tells.
        moments: Adam's, of the head.
        step: int32[]; the next one, from 1.
    """

    rows: sparse_adam.Rows
    head: Parameters
    moments: Any
    step: jax.Array


def serves(pooling: str) -> bool:
    """Whether documents can be laid out for a pooling; others are trained the plain way."""
    return pooling in CUTS


class Fast:
    """Adam, touching only the embedding rows that a batch uses; equal to optax.adam on all of them.

    `rates: float[steps]` are the learning rates of all steps to come; with `room`, segments of another order seldom
    need another compilation.
    """

    def __init__(
        self,
        architecture: Architecture,
        features: FeatureIds,
        labels: np.ndarray,
        rates: np.ndarray,
        objective: Objective,
        seed: int,
        *,
        room: bool,
    ) -> None:
        self.state: Any = None
        self.parameters: Parameters = {}
        self._labels = np.append(labels, np.int32(-1))
        self._lengths = np.append(features.lengths, 0)
        self._layout = choose_layout(architecture, features, room=room, drops=objective.word_dropout > 0)
        self._architecture, self._objective, self._seed = architecture, objective, np.uint32(seed)
        self._table = sparse_adam.tables(rates)
        self._steps = _flat_steps if architecture.pooling == "flatten" else _pooled_steps

    def segments(self, documents: np.ndarray) -> list[np.ndarray]:
        """Part the batches `int32[steps, batch]` of an epoch into segments of a bounded size."""
        size = int(self._lengths[documents].max(axis=1, initial=1).sum()) * documents.shape[1]
        if isinstance(self._layout, TileLayout):
            size = int(self._lengths[documents].sum())
        return np.array_split(documents, max(1, min(len(documents), size // SEGMENT_IDS)))

    def prepare(self, documents: np.ndarray) -> Segment:
        """Lay out `documents: int32[steps, batch]`, by their number; -1 fills a batch up."""
        documents, used, layout = self._layout.prepare(documents)
        return Segment(jax.device_put(used), jax.device_put(self._labels[documents]), layout)

    def compile(self, segment: Segment) -> None:
        """Compile what `run` runs on segments of these shapes, for all trainers made alike."""
        zeros = {path: np.zeros(shape, np.float32) for path, shape in self._architecture.shapes.items()}
        self._steps.compile(*self._arguments(_initial(unflatten_parameters(zeros)), segment))

    def start(self, parameters: Parameters) -> None:
        """Begin with these parameters, at step 1."""
        self.state, self.parameters = _initial(parameters), parameters

    def run(self, segment: Segment) -> jax.Array:
        """Step through a segment; returns the losses, `float32[steps]`, perhaps before they are computed."""
        self.state, self.parameters, losses = self._steps(*self._arguments(self.state, segment))
        result: jax.Array = losses
        return result

    def _arguments(self, state: State, segment: Segment) -> tuple[Any, ...]:
        return self._architecture, self._objective, self._table, state, self._seed, segment


def choose_layout(
    architecture: Architecture, features: FeatureIds, *, room: bool, drops: bool
) -> BagLayout | ChunkLayout | TileLayout:
    """Choose how documents are laid out; an inverted index cannot drop words."""
    pooling, rows = architecture.pooling, architecture.rows
    if pooling in SUMS and not drops:
        everything = np.arange(features.documents + 1)
        return BagLayout(lay_out(features.with_empty(), everything, architecture.positions or 0).rows, rows, room=room)
    if pooling in ("mean", "sum") and not drops:
        return TileLayout(features, rows, room=room)
    return ChunkLayout(features, architecture.positions, rows, CUTS[pooling], room=room)


def turned(head: Parameters) -> Parameters:
    """Transpose the kernels of dense layers.

    A step holds them transposed, `float32[outputs, inputs]`: their gradients are multiplied out faster that way, by a
    quarter for a wide kernel and three times for an output layer of few classes.
    """
    result: Parameters = jax.tree.map(jnp.transpose, head)
    return result


@jax.custom_vjp
def product(inputs: jax.Array, kernel: jax.Array) -> jax.Array:
    """Multiply `inputs: float32[n, inputs]` by `kernel: float32[inputs, outputs]`.

    Where outputs are few, the gradient of the inputs is added up output by output: XLA does so while it works out what
    comes before, a relu for one, and a CPU's matrix multiplication would take longer than both: 4 to 5% of an epoch of
    flatten_10, flatten_20 and average_20.
    """
    return inputs @ kernel


def _forward(inputs: jax.Array, kernel: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return product(inputs, kernel), (inputs, kernel)


def _backward(saved: tuple[jax.Array, jax.Array], gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
    inputs, kernel = saved
    outputs = kernel.shape[1]
    if outputs <= FEW:
        back = sum((gradient[:, i, None] * kernel[:, i] for i in range(1, outputs)), gradient[:, :1] * kernel[:, 0])
    else:
        back = gradient @ kernel.T
    return back, (gradient.T @ inputs).T


product.defvjp(_forward, _backward)


def _initial(parameters: Parameters) -> State:
    dense = {name: layer for name, layer in parameters.items() if name != "embedding"}
    head = jax.tree.map(lambda leaf: np.asarray(leaf).T, dense)
    moments = jax.eval_shape(optax.scale_by_adam().init, head)
    zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), moments)
    rows = sparse_adam.init(parameters["embedding"]["embedding"])
    return State(rows, *jax.device_put((head, zeros, np.int32(1))))


def _step_through(
    architecture: Architecture,
    objective: Objective,
    table: sparse_adam.Tables,
    state: State,
    seed: jax.Array,
    segment: Segment,
) -> tuple[State, Parameters, jax.Array]:
    """Step through the batches; returns the state, the parameters and the losses."""

    def drop(ids: jax.Array, step: jax.Array) -> jax.Array:
        return objective.drop(ids, jax.random.fold_in(jax.random.key(seed), step))

    def loss(used: jax.Array, head: Parameters, batch: Segment, step: jax.Array) -> jax.Array:
        # The table is given by the rows in use alone. Its first row is padding's, as in the table itself.
        parameters = turned(head)
        parts = batch.layout.documents(used, partial(drop, step=step))
        found = logits(architecture, parameters, parts, product)
        return objective.loss(found, batch.labels)

    def take_step(state: State, batch: Segment) -> tuple[State, jax.Array]:
        rows, head, moments, step = state
        used, read = sparse_adam.read(table, rows, batch.used, step)
        value, (gradient, head_gradient) = jax.value_and_grad(loss, argnums=(0, 1))(used, head, batch, step)
        rows = sparse_adam.write(table, rows, read, gradient, step)
        direction, moments = optax.scale_by_adam().update(head_gradient, moments)
        head = jax.tree.map(lambda p, d: p - table.learning_rate[step] * d, head, direction)
        return State(rows, head, moments, step + 1), value

    state, losses = jax.lax.scan(take_step, state, segment)
    embedding = sparse_adam.embedding(table, state.rows, state.step - 1)
    return state, {"embedding": {"embedding": embedding}, **turned(state.head)}, losses


_SETTINGS: dict[str, Any] = {"static_argnums": (0, 1), "donate_argnums": 3}
# XLA's own loops read embeddings and add them up in one go, which its library of kernels, YNN, does in two.
_NO_YNN = {"xla_cpu_experimental_ynn_fusion_type": ""}
_flat_steps = Compiled(_step_through, **_SETTINGS)
_pooled_steps = Compiled(_step_through, _NO_YNN, **_SETTINGS)
