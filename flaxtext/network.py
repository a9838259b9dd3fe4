"""The classifier: an embedding table, a pooling into one vector a document, and two dense layers."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

Parameters = dict[str, dict[str, Any]]
"""Layer -> name -> array, of JAX or of NumPy."""

CHUNK_ROWS = 4096
"""Documents in one forward pass."""


def flatten(embedded: jax.Array, padding: jax.Array, rest: int, kernel: jax.Array) -> jax.Array:
    """Lay the embeddings end to end."""
    batch, width, embed_dim = embedded.shape
    head, tail = kernel[: width * embed_dim], kernel[width * embed_dim :]
    return embedded.reshape(batch, width * embed_dim) @ head + padding @ tail.reshape(
        rest, embed_dim, kernel.shape[1]
    ).sum(axis=0)


def mean(embedded: jax.Array, padding: jax.Array, rest: int, kernel: jax.Array) -> jax.Array:
    """Average over all positions, padding included."""
    return (embedded.sum(axis=1) + rest * padding) / (embedded.shape[1] + rest) @ kernel


def sum_(embedded: jax.Array, padding: jax.Array, rest: int, kernel: jax.Array) -> jax.Array:
    """Add up all positions, padding included."""
    return (embedded.sum(axis=1) + rest * padding) @ kernel


POOLINGS: dict[str, Callable[[jax.Array, jax.Array, int, jax.Array], jax.Array]] = {
    "flatten": flatten,
    "mean": mean,
    "sum": sum_,
}
"""How embeddings become one vector a document, multiplied by the kernel of the layer that follows.

A pooling takes the embeddings of the first positions, `float32[batch, width, embed_dim]`, and the embedding of
padding, `float32[embed_dim]`, which holds each of the `rest` positions after them: what padding adds is worked
out once for all documents. It returns `float32[batch, hidden]`.
"""


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
        self.max_len = max_len
        self.pool = POOLINGS[pooling]
        self.embedding = nnx.Embed(rows, embed_dim, rngs=rngs)
        self.hidden = nnx.Linear(max_len * embed_dim if pooling == "flatten" else embed_dim, hidden, rngs=rngs)
        self.output = nnx.Linear(hidden, classes, rngs=rngs)

    def __call__(self, ids: jax.Array) -> jax.Array:
        """Map `ids: int32[batch, width]` to logits, `float32[batch, classes]`.

        A `width` below `max_len` means that the documents hold nothing but padding beyond it.
        """
        table = self.embedding.embedding[...]
        return self.classify(table.at[ids].get(mode="promise_in_bounds"), table[0])

    def classify(self, embedded: jax.Array, padding: jax.Array) -> jax.Array:
        """Map embedded documents, `float32[batch, width, embed_dim]`, to logits; `padding` is id 0 embedded."""
        rest = self.max_len - embedded.shape[1]
        kernel, bias = (jnp.asarray(param) for param in (self.hidden.kernel, self.hidden.bias))
        return self.output(nnx.relu(self.pool(embedded, padding, rest, kernel) + bias))


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
