"""The classifier: an embedding table, a pooling into one vector a document, and two dense layers."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import numpy as np
from flax import nnx

Parameters = dict[str, dict[str, Any]]
"""Layer -> name -> array, of JAX or of NumPy."""

CHUNK_ROWS = 8192
"""Documents in one forward pass."""


def flatten(embedded: jax.Array) -> jax.Array:
    """Lay the embeddings end to end: `float32[batch, length, dim]` to `float32[batch, length * dim]`."""
    return embedded.reshape(len(embedded), -1)


def mean(embedded: jax.Array) -> jax.Array:
    """Average over all positions, padding included: to `float32[batch, dim]`."""
    return embedded.mean(axis=1)


def sum_(embedded: jax.Array) -> jax.Array:
    """Add up all positions, padding included: to `float32[batch, dim]`."""
    return embedded.sum(axis=1)


POOLINGS: dict[str, Callable[[jax.Array], jax.Array]] = {"flatten": flatten, "mean": mean, "sum": sum_}


class Network(nnx.Module):
    """Embedding, pooling, dense layer, relu, dense layer.

    Args:
        rows: rows of the embedding table, row 0 (padding) included.
        classes: number of classes.
        max_len: ids a document.
        pooling: a key of `POOLINGS`.
        embed_dim: size of an embedding.
        hidden: width of the dense layer between pooling and output.
        rngs: source of the initial parameters.
    """

    def __init__(
        self,
        *,
        rows: int,
        classes: int,
        max_len: int,
        pooling: str,
        embed_dim: int,
        hidden: int,
        rngs: nnx.Rngs,
    ) -> None:
        self.pool = POOLINGS[pooling]
        self.embedding = nnx.Embed(rows, embed_dim, rngs=rngs)
        self.hidden = nnx.Linear(max_len * embed_dim if pooling == "flatten" else embed_dim, hidden, rngs=rngs)
        self.output = nnx.Linear(hidden, classes, rngs=rngs)

    def __call__(self, ids: jax.Array) -> jax.Array:
        """Map `ids: int32[batch, max_len]` to logits, `float32[batch, classes]`."""
        return self.classify(self.embedding(ids))

    def classify(self, embedded: jax.Array) -> jax.Array:
        """Map embedded documents, `float32[batch, max_len, embed_dim]`, to logits."""
        return self.output(nnx.relu(self.hidden(self.pool(embedded))))


def split(network: Network) -> tuple[nnx.GraphDef[Network], Parameters]:
    """Take a network apart into its static part and its parameters as a plain pytree."""
    graph, state = nnx.split(network)
    return graph, nnx.to_pure_dict(state)


def flat(parameters: Parameters) -> dict[str, Any]:
    """Name parameters by their path, such as `hidden.kernel`, in the order that data meets them."""
    layers = ("embedding", "hidden", "output")
    return {
        f"{layer}.{name}": parameters[layer][name]
        for layer in layers
        for name in sorted(parameters[layer], reverse=True)  # kernel before bias
    }


def unflat(named: Mapping[str, Any]) -> Parameters:
    """Undo `flat`."""
    parameters: Parameters = {}
    for path, array in named.items():
        layer, name = path.split(".")
        parameters.setdefault(layer, {})[name] = array
    return parameters


@partial(jax.jit, static_argnums=0)
def _probabilities(graph: nnx.GraphDef[Network], parameters: Parameters, ids: jax.Array) -> jax.Array:
    return jax.nn.softmax(nnx.merge(graph, parameters)(ids))


def probabilities(graph: nnx.GraphDef[Network], parameters: Parameters, ids: np.ndarray) -> np.ndarray:
    """Run the network over `ids: int32[n, max_len]`, a chunk at a time: `float32[n, classes]`.

    Chunks are padded to a few fixed sizes, so that another `n` seldom compiles anew.
    """
    chunks = []
    for start in range(0, len(ids), CHUNK_ROWS):
        chunk = ids[start : start + CHUNK_ROWS]
        size = CHUNK_ROWS if len(ids) > CHUNK_ROWS else 1 << (len(chunk) - 1).bit_length()
        padded = np.pad(chunk, ((0, size - len(chunk)), (0, 0)))
        chunks.append(np.asarray(_probabilities(graph, parameters, padded))[: len(chunk)])
    return np.concatenate(chunks) if chunks else np.zeros((0, len(parameters["output"]["bias"])), np.float32)
