"""Gradient descent on the embedding rows that a batch holds, for features that are weighted: exact, as all others stay.

Documents lie in tiles. What a step reads of the table it adds up tile by tile, and adds its change to the same rows.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from flaxtext.model.architecture import Architecture, Parameters, unflatten_parameters
from flaxtext.model.compilation import Compiled
from flaxtext.model.forward import logits, rows_of
from flaxtext.model.poolings import POOLINGS, Embedded, Summed
from flaxtext.text.features import FeatureIds
from flaxtext.train.fast.rows import add
from flaxtext.train.fast.tiles import TileNumbers, Tiles, add_up
from flaxtext.train.objective import Objective

SEGMENT_TILES = 2**19
"""Tiles of a segment, about."""
BIAS_RATE = 0.1
"""The bias's learning rate, by that of all else: a document has a hundred features, and one bias."""


class Segment(NamedTuple):
    """Some batches.

    Attributes:
        tiles: int32[steps, tiles]; by their number.
        owners: int32[steps, tiles]; the document of each, by its number in the batch; the batch's size fills up.
        labels: int32[steps, batch]; -1 fills up.
    """

    tiles: jax.Array
    owners: jax.Array
    labels: jax.Array


class State(NamedTuple):
    """All that steps change: the parameters, and the number of the next step, from 0."""

    parameters: Parameters
    step: jax.Array


class SparseSgd:
    """Stochastic gradient descent of weighted features; `rates: float[steps]` are those of all steps to come."""

    def __init__(
        self,
        architecture: Architecture,
        features: FeatureIds,
        labels: np.ndarray,
        rates: np.ndarray,
        objective: Objective,
    ) -> None:
        self.state: Any = None
        self._labels = np.append(labels, np.int32(-1))
        self._numbers = TileNumbers(features)
        self._tiles = Tiles(*jax.device_put(self._numbers.cut(features)))
        self._rates = jax.device_put(rates.astype(np.float32))
        self._architecture, self._objective = architecture, objective

    @property
    def parameters(self) -> Parameters:
        """As the last step left them."""
        parameters: Parameters = self.state.parameters
        return parameters

    def segments(self, documents: np.ndarray) -> list[np.ndarray]:
        """Part the batches `int32[steps, batch]` of an epoch into segments of a bounded size."""
        needed = self._numbers.counts[documents].sum()
        return np.array_split(documents, max(1, min(len(documents), -(-int(needed) // SEGMENT_TILES))))

    def prepare(self, documents: np.ndarray) -> Segment:
        """Lay out `documents: int32[steps, batch]`, by their number; -1 fills a batch up."""
        tiles, owners = self._numbers.of(documents, room=True)
        return Segment(*jax.device_put((tiles, owners, self._labels[documents])))

    def compile(self, segment: Segment) -> None:
        """Compile what `run` runs on segments of these shapes."""
        zeros = {path: jnp.zeros(shape, jnp.float32) for path, shape in self._architecture.shapes.items()}
        state = State(unflatten_parameters(zeros), jnp.int32(0))
        _steps.compile(self._architecture, self._objective, state, self._tiles, self._rates, segment)

    def start(self, parameters: Parameters) -> None:
        """Begin with these parameters. They may be overwritten: let go of them."""
        self.state = State(parameters, jnp.int32(0))

    def run(self, segment: Segment) -> jax.Array:
        """Step through a segment; returns the losses, `float32[steps]`, perhaps before they are computed."""
        self.state, losses = _steps(self._architecture, self._objective, self.state, self._tiles, self._rates, segment)
        result: jax.Array = losses
        return result


def _step_through(
    architecture: Architecture,
    objective: Objective,
    state: State,
    tiles: Tiles,
    rates: jax.Array,
    segment: Segment,
) -> tuple[State, jax.Array]:
    """Step through the batches; returns the state and the losses."""
    pool = POOLINGS[architecture.pooling].pool

    def take_step(state: State, batch: Segment) -> tuple[State, jax.Array]:
        parameters, step = state
        table = parameters["embedding"]["embedding"]
        head = {name: layer for name, layer in parameters.items() if name != "embedding"}
        rows, weights = rows_of(tiles.rows, batch.tiles), rows_of(tiles.weights, batch.tiles)
        [sums] = pool(Embedded(rows_of(table, rows), rows != 0, table[0], 0, weights))
        total = add_up(sums, batch.owners, len(batch.labels))

        def loss(total: jax.Array, head: Parameters) -> jax.Array:
            return objective.loss(logits(architecture, head, [Summed(total)]), batch.labels)

        value, (gradient, head_gradient) = jax.value_and_grad(loss, argnums=(0, 1))(total, head)
        rate = rates[step]
        change = -rate * rows_of(jnp.pad(gradient, ((0, 1), (0, 0))), batch.owners)
        table = add(table, rows.reshape(-1), (weights[..., None] * change[:, None, :]).reshape(-1, table.shape[1]))
        head = {
            name: {
                key: array - rate * (BIAS_RATE if key == "bias" else 1) * head_gradient[name][key]
                for key, array in layer.items()
            }
            for name, layer in head.items()
        }
        embedding = {**parameters["embedding"], "embedding": table}
        return State({**head, "embedding": embedding}, step + 1), value

    return jax.lax.scan(take_step, state, segment)


_steps = Compiled(_step_through, static_argnums=(0, 1), donate_argnums=2)
