"""How the loop steps through batches: the protocol, and the plain way that serves every pooling and optimizer."""

from functools import partial
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from flaxtext.model.architecture import Architecture, Parameters
from flaxtext.model.forward import Block
from flaxtext.model.prediction import lay_out
from flaxtext.text.features import FeatureIds
from flaxtext.train.network import Network, abstract, split
from flaxtext.train.objective import Objective

Segment = Any
"""Some batches, laid out for a trainer; one compiled scan steps through all of them."""


SEGMENT_IDS = 2**24
"""Ids of a segment of `Plain`, padding included, about."""


class Trainer(Protocol):
    """Steps a network through batches.

    Attributes:
        state: all that steps change, as one pytree of arrays; None before `start`.
    """

    state: Any

    @property
    def parameters(self) -> Parameters:
        """As the last step of `run` left them."""

    def segments(self, documents: np.ndarray) -> list[np.ndarray]:
        """Part the batches `int32[steps, batch]` of an epoch into segments of a bounded size."""

    def prepare(self, documents: np.ndarray) -> Segment:
        """Lay out `documents: int32[steps, batch]`, by their number; -1 fills a batch up. Touches no state."""

    def compile(self, segment: Segment) -> None:
        """Compile what `run` runs on segments of these shapes, for all trainers made alike."""

    def start(self, parameters: Parameters) -> None:
        """Begin with these parameters, at step 1. They may be overwritten: let go of them."""

    def run(self, segment: Segment) -> jax.Array:
        """Step through a segment; returns the losses, `float32[steps]`, perhaps before they are computed."""


class Batches(NamedTuple):
    """A segment of `Plain`: `blocks` of `int32[steps, batch, ...]`, `labels: int32[steps, batch]`."""

    blocks: Block
    labels: jax.Array


class Plain:
    """Any pooling and any optimizer of optax, on all parameters in every step."""

    def __init__(
        self,
        architecture: Architecture,
        features: FeatureIds,
        labels: np.ndarray,
        optimizer: optax.GradientTransformation,
        objective: Objective,
        seed: int,
    ) -> None:
        self.state: Any = None
        self._features = features.with_empty()
        self._labels = np.append(labels, np.int32(-1))
        self._graph = split(abstract(architecture))[0]
        self._architecture, self._optimizer, self._objective, self._seed = architecture, optimizer, objective, seed
        self._width = 1

    @property
    def parameters(self) -> Parameters:
        """As the last step left them."""
        parameters: Parameters = self.state[0]
        return parameters

    def segments(self, documents: np.ndarray) -> list[np.ndarray]:
        """Part the batches `int32[steps, batch]` of an epoch into segments of a bounded size."""
        size = documents.size * int(self._features.lengths[documents].max(initial=1))
        return np.array_split(documents, max(1, min(len(documents), size // SEGMENT_IDS)))

    def prepare(self, documents: np.ndarray) -> Batches:
        """Lay out a segment."""
        self._width = max(self._width, int(self._features.lengths[documents].max(initial=1)))
        numbers = np.where(documents < 0, len(self._labels) - 1, documents)
        block = lay_out(self._features, numbers.reshape(-1), self._width)
        shape = *documents.shape, self._width
        rows, weights = (part if part is None else jnp.asarray(part.reshape(shape)) for part in block)
        return Batches(Block(rows, weights), jnp.asarray(self._labels[documents]))

    def compile(self, segment: Batches) -> None:
        """Compile what `run` runs."""
        zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), split(abstract(self._architecture))[1])
        _plain_steps.lower(self._graph, self._optimizer, self._objective, self._initial(zeros), segment).compile()

    def start(self, parameters: Parameters) -> None:
        """Begin with these parameters."""
        self.state = self._initial(parameters)

    def run(self, segment: Batches) -> jax.Array:
        """Step through a segment."""
        self.state, losses = _plain_steps(self._graph, self._optimizer, self._objective, self.state, segment)
        result: jax.Array = losses
        return result

    def _initial(self, parameters: Parameters) -> Any:
        return parameters, self._optimizer.init(parameters), jax.random.key(self._seed)


@partial(jax.jit, static_argnums=(0, 1, 2), donate_argnums=3)
def _plain_steps(
    graph: nnx.GraphDef[Network],
    optimizer: optax.GradientTransformation,
    objective: Objective,
    state: Any,
    segment: Batches,
) -> tuple[Any, jax.Array]:
    """Step through the batches; returns the state and the losses, `float32[steps]`."""

    def step(state: Any, batch: Batches) -> tuple[Any, jax.Array]:
        parameters, moments, key = state
        key, dropping = jax.random.split(key)
        block = batch.blocks._replace(rows=objective.drop(batch.blocks.rows, dropping))
        value, gradient = jax.value_and_grad(
            lambda parameters: objective.loss(nnx.merge(graph, parameters)(block), batch.labels)
        )(parameters)
        updates, moments = optimizer.update(gradient, moments, parameters)
        return (optax.apply_updates(parameters, updates), moments, key), value

    return jax.lax.scan(step, state, segment)
