"""The classifier: an embedding table, a pooling into one vector a document, and one or two dense layers."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from flaxtext.core.pooling import POOLINGS, Embedded, Summed, size
from flaxtext.models.forward import Parameters, network_settings
from flaxtext.models.rows import take

FEW = 8
"""Up to so many outputs, `product` adds the gradient up output by output."""


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
        self.pooling = pooling
        self.embedding = nnx.Embed(rows, embed_dim, rngs=rngs)
        pooled = size(pooling, max_len, embed_dim)
        self.hidden = nnx.Linear(pooled, hidden, rngs=rngs) if hidden else None
        self.output = nnx.Linear(hidden or pooled, classes, rngs=rngs)

    def __call__(self, ids: jax.Array) -> jax.Array:
        """Map `ids: int32[batch, width]` to logits, `float32[batch, classes]`.

        A `width` below `max_len` means that the documents hold nothing but padding beyond it.
        """
        table = self.embedding.embedding[...]
        vectors = take(table, ids)
        return self.classify([Embedded(vectors, ids != 0, table[0], self.max_len - ids.shape[1])])

    def classify(self, documents: Sequence[Embedded | Summed]) -> jax.Array:
        """Map documents to logits, `float32[batch, classes]`; they may come in parts, each of another width."""
        first = self.output if self.hidden is None else self.hidden
        kernel, bias = (jnp.asarray(param) for param in (first.kernel, first.bias))
        turned = kernel.T
        # Each part goes its way up to the logits, so that a CPU takes them side by side.
        logits = [POOLINGS[self.pooling](part, turned) + bias for part in documents]
        if self.hidden is not None:
            kernel, bias = (jnp.asarray(param) for param in (self.output.kernel, self.output.bias))
            logits = [product(nnx.relu(part), kernel) + bias for part in logits]
        return jnp.concatenate(logits)


@jax.custom_vjp
def product(inputs: jax.Array, kernel: jax.Array) -> jax.Array:
    """Multiply `inputs: float32[n, inputs]` by `kernel: float32[inputs, outputs]`.

    Where outputs are few, the gradient of the inputs is added up output by output: XLA does so while it works out
    what comes before, a relu for one, and a CPU's matrix multiplication would take longer than both.
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


def split(network: Network) -> tuple[nnx.GraphDef[Network], Parameters]:
    """Take a network apart into its static part and its parameters as a plain pytree."""
    graph, state = nnx.split(network)
    return graph, nnx.to_pure_dict(state)


def outline(config: Mapping[str, Any], rows: int) -> Network:
    """Make the network that a configuration describes with shapes alone; `rows` is that of its `Features`."""
    settings = network_settings(config, rows)
    abstract: Network = nnx.eval_shape(lambda: Network(**settings, rngs=nnx.Rngs(0)))
    return abstract


def build(config: Mapping[str, Any], rows: int, seed: int) -> Network:
    """Make the network of `outline` freshly initialised, in one function compiled for all seeds."""
    settings = network_settings(config, rows)
    parameters = _initialise(tuple(settings.items()), np.uint32(seed))
    network: Network = nnx.merge(split(outline(config, rows))[0], parameters)
    return network


# It runs once: to compile it in half the time saves more than its best code would.
@partial(jax.jit, static_argnums=0, compiler_options={"xla_backend_optimization_level": 1})
def _initialise(settings: tuple[tuple[str, Any], ...], seed: jax.Array) -> Parameters:
    return split(Network(**dict(settings), rngs=nnx.Rngs(jax.random.key(seed))))[1]
