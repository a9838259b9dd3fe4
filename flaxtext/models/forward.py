"""What a network answers, given its parameters, in JAX alone: to predict takes neither Flax nor its half second.

`Network` says the same in Flax, which training works with; tests hold the two against each other.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import numpy as np

from flaxtext.core.pooling import POOLINGS, Embedded, size
from flaxtext.models.features import per_word
from flaxtext.models.rows import take

Parameters = dict[str, dict[str, Any]]
"""Layer -> name -> array, of JAX or of NumPy."""

CHUNK_IDS = 2**16
"""Ids in one forward pass, at most: their embeddings stay in the CPU's cache."""


def logits(pooling: str, max_len: int, parameters: Parameters, ids: jax.Array) -> jax.Array:
    """Map `ids: int32[batch, width]` to logits, `float32[batch, classes]`.

    `pooling` is a key of `POOLINGS`. A `width` below `max_len` means that the documents hold nothing but padding
    beyond it.
    """
    table = parameters["embedding"]["embedding"]
    vectors = take(table, ids)
    first, *second = (parameters[layer] for layer in ("hidden", "output") if layer in parameters)
    documents = Embedded(vectors, ids != 0, table[0], max_len - ids.shape[1])
    outputs: jax.Array = POOLINGS[pooling](documents, first["kernel"].T) + first["bias"]
    for layer in second:
        outputs = jax.nn.relu(outputs) @ layer["kernel"] + layer["bias"]
    return outputs


@partial(jax.jit, static_argnums=(0, 1))
def _probabilities(pooling: str, max_len: int, parameters: Parameters, ids: jax.Array) -> jax.Array:
    return jax.nn.softmax(logits(pooling, max_len, parameters, ids))


def probabilities(pooling: str, parameters: Parameters, ids: np.ndarray) -> np.ndarray:
    """Run a network over `ids: int32[n, max_len]`, a chunk at a time: `float32[n, classes]`.

    Columns that hold nothing but padding are cut off. Chunks have few sizes, so that another `n` seldom compiles anew:
    a quarter of the largest, a sixteenth and so on.
    """
    rows = 1 << (max(1, CHUNK_IDS // ids.shape[1]).bit_length() - 1)
    while rows // 4 >= max(1, len(ids)):
        rows //= 4
    chunks = []
    for start in range(0, len(ids), rows):
        chunk = ids[start : start + rows]
        longest = int(np.flatnonzero(chunk.any(axis=0)).max(initial=-1)) + 1
        width = max(16, -(-longest // 8) * 8)
        width = width if width + 8 <= ids.shape[1] else ids.shape[1]
        padded = np.zeros((rows, width), np.int32)
        padded[: len(chunk)] = chunk[:, :width]
        chunks.append((_probabilities(pooling, ids.shape[1], parameters, padded), len(chunk)))
    return (
        np.concatenate([np.asarray(chunk)[:n] for chunk, n in chunks])
        if chunks
        else np.zeros((0, len(parameters["output"]["bias"])), np.float32)
    )


def network_settings(config: Mapping[str, Any], rows: int) -> dict[str, Any]:
    """Read off a configuration what `Network` takes, but for its source of initial parameters.

    `rows` is that of its `Features`.
    """
    return {
        "rows": rows,
        "classes": len(config["classes"]),
        "max_len": config["max_len"] * per_word(config.get("stem"), config.get("ngrams", 1)),
        "pooling": config["pooling"],
        "embed_dim": config["embed_dim"],
        "hidden": config["hidden"],
    }


def shapes(config: Mapping[str, Any], rows: int) -> dict[str, tuple[int, ...]]:
    """Return the name and shape of each parameter of the network that a configuration describes; no array is made."""
    given = network_settings(config, rows)
    hidden, classes, embed_dim = given["hidden"], given["classes"], given["embed_dim"]
    inputs = size(given["pooling"], given["max_len"], embed_dim)
    embedding = {"embedding.embedding": (rows, embed_dim)}
    output = {"output.kernel": (hidden or inputs, classes), "output.bias": (classes,)}
    return embedding | ({"hidden.kernel": (inputs, hidden), "hidden.bias": (hidden,)} if hidden else {}) | output


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
