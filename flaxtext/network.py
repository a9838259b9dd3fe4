"""The classifier: an embedding table, a pooling into one vector a document, and one or two dense layers."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from flaxtext.pooling import POOLINGS, Embedded, Summed, size

Parameters = dict[str, dict[str, Any]]
"""Layer -> name -> array, of JAX or of NumPy."""

CHUNK_ROWS = 4096
"""Documents in one forward pass."""


class Network(nnx.Module):
    """Embedding, pooling, dense layer, relu, dense layer.

    Args:
        rows: rows of the embedding table, row 0 (padding) included.
        classes: number of classes.
        max_len: ids a document.
        pooling: a key of `POOLINGS`.
        embed_dim: size of an embedding.
        hidden: width of the dense layer between pooling and output; 0 for none.
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
        self.max_len = max_len
        self.pool = POOLINGS[pooling]
        self.embedding = nnx.Embed(rows, embed_dim, rngs=rngs)
        pooled = size(pooling, max_len, embed_dim)
        self.hidden = nnx.Linear(pooled, hidden, rngs=rngs) if hidden else None
        self.output = nnx.Linear(hidden or pooled, classes, rngs=rngs)

    def __call__(self, ids: jax.Array) -> jax.Array:
        """Map `ids: int32[batch, width]` to logits, `float32[batch, classes]`.

        A `width` below `max_len` means that the documents hold nothing but padding beyond it.
        """
        table = self.embedding.embedding[...]
        vectors = table.at[ids].get(mode="promise_in_bounds")
        return self.classify([Embedded(vectors, ids != 0, table[0], self.max_len - ids.shape[1])])

    def classify(self, documents: Sequence[Embedded | Summed]) -> jax.Array:
        """Map documents to logits, `float32[batch, classes]`; they may come in parts, each of another width."""
        first = self.output if self.hidden is None else self.hidden
        kernel, bias = (jnp.asarray(param) for param in (first.kernel, first.bias))
        pooled = jnp.concatenate([self.pool(part, kernel) for part in documents]) + bias
        return pooled if self.hidden is None else self.output(nnx.relu(pooled))


def split(network: Network) -> tuple[nnx.GraphDef[Network], Parameters]:
    """Take a network apart into its static part and its parameters as a plain pytree."""
    graph, state = nnx.split(network)
    return graph, nnx.to_pure_dict(state)


def flat(parameters: Parameters) -> dict[str, Any]:
    """Name parameters by their path, such as `hidden.kernel`, in the order that data meets them."""
    return {
        f"{layer}.{name}": parameters[layer][name]
        for layer in sorted(parameters)  # embedding, hidden, output
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

    Columns that hold nothing but padding are cut off. Chunks have few sizes, so that another `n` seldom compiles anew.
    """
    chunks = []
    for start in range(0, len(ids), CHUNK_ROWS):
        chunk = ids[start : start + CHUNK_ROWS]
        rows = CHUNK_ROWS if len(ids) > CHUNK_ROWS else 1 << (len(chunk) - 1).bit_length()
        longest = int(np.flatnonzero(chunk.any(axis=0)).max(initial=-1)) + 1
        width = min(max(8, -(-longest // 8) * 8), ids.shape[1])
        padded = np.zeros((rows, width), np.int32)
        padded[: len(chunk)] = chunk[:, :width]
        chunks.append((_probabilities(graph, parameters, padded), len(chunk)))
    return (
        np.concatenate([np.asarray(chunk)[:n] for chunk, n in chunks])
        if chunks
        else np.zeros((0, len(parameters["output"]["bias"])), np.float32)
    )
