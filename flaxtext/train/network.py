"""The network in Flax: it initialises and holds the parameters, and asks the one forward pass."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from flaxtext.model.architecture import Architecture, Parameters
from flaxtext.model.compilation import Compiled
from flaxtext.model.forward import Block, apply


class Weighted(nnx.Embed):
    """An embedding table of zeros, and beside it what each row weighs, which no step changes."""

    def __init__(self, rows: int, dims: int, rngs: nnx.Rngs) -> None:
        super().__init__(rows, dims, embedding_init=nnx.initializers.zeros_init(), rngs=rngs)
        self.idf = nnx.Param(jnp.zeros(rows))


class Bias(nnx.Module):
    """What stands in for the output layer where the dimensions are the classes."""

    def __init__(self, size: int) -> None:
        self.bias = nnx.Param(jnp.zeros(size))


class Network(nnx.Module):
    """An embedding table, a pooling, and up to two dense layers, with relu between them."""

    def __init__(self, architecture: Architecture, rngs: nnx.Rngs) -> None:
        self.architecture = architecture
        rows, dims, classes = architecture.rows, architecture.embed_dim, architecture.classes
        inputs = architecture.hidden or architecture.pooled
        self.embedding = Weighted(rows, dims, rngs) if architecture.weighs else nnx.Embed(rows, dims, rngs=rngs)
        self.hidden = nnx.Linear(architecture.pooled, architecture.hidden, rngs=rngs) if architecture.hidden else None
        self.output = nnx.Linear(inputs, classes, rngs=rngs) if architecture.output else Bias(classes)

    def __call__(self, block: Block) -> jax.Array:
        """Map documents to logits, `float32[n, classes]`."""
        logits: jax.Array = apply(self.architecture, split(self)[1], block)
        return logits


def split(network: Network) -> tuple[nnx.GraphDef[Network], Parameters]:
    """Take a network apart into its static part and its parameters as a plain pytree."""
    graph, state = nnx.split(network)
    return graph, nnx.to_pure_dict(state)


def abstract(architecture: Architecture) -> Network:
    """Make a network with shapes alone."""
    network: Network = nnx.eval_shape(lambda: Network(architecture, nnx.Rngs(0)))
    return network


def build(architecture: Architecture, seed: int) -> Network:
    """Make a network freshly initialised, in one function compiled for all seeds."""
    network: Network = nnx.merge(split(abstract(architecture))[0], _initialised(architecture, np.uint32(seed)))
    return network


def _initialise(architecture: Architecture, seed: jax.Array) -> Parameters:
    return split(Network(architecture, nnx.Rngs(jax.random.key(seed))))[1]


# It runs once: to compile it in half the time saves more than its best code would.
_initialised = Compiled(_initialise, {"xla_backend_optimization_level": 1}, static_argnums=0)
