"""How the embeddings of a document's words become one vector.

JAX is imported when a pooling runs, and not with this module: params.py asks it for the names, in every stage.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from jax import Array


class Embedded(NamedTuple):
    """Documents, embedded up to the last position that any of them fills.

    Attributes:
        vectors: float32[batch, width, embed_dim].
        present: bool[batch, width]; false where a position holds padding.
        padding: float32[embed_dim]; the embedding of padding, which each position beyond `width` holds.
        rest: how many positions that is.
    """

    vectors: "Array"
    present: "Array"
    padding: "Array"
    rest: int


def flatten(documents: Embedded, kernel: "Array") -> "Array":
    """Lay the embeddings end to end; what padding adds is worked out once for all documents."""
    batch, width, embed_dim = documents.vectors.shape
    head, tail = kernel[: width * embed_dim], kernel[width * embed_dim :]
    rest = documents.padding @ tail.reshape(documents.rest, embed_dim, kernel.shape[1]).sum(axis=0)
    return documents.vectors.reshape(batch, width * embed_dim) @ head + rest


def mean(documents: Embedded, kernel: "Array") -> "Array":
    """Average over all positions, padding included, as the tutorial does."""
    return _total(documents) / (documents.vectors.shape[1] + documents.rest) @ kernel


def sum_(documents: Embedded, kernel: "Array") -> "Array":
    """Add up all positions, padding included, as the tutorial does."""
    return _total(documents) @ kernel


def masked_mean(documents: Embedded, kernel: "Array") -> "Array":
    """Average over the words alone; no words give zeros."""
    return _masked_mean(documents) @ kernel


def max_(documents: Embedded, kernel: "Array") -> "Array":
    """Take the largest value of each dimension over the words; no words give zeros."""
    return _max(documents) @ kernel


def mean_max(documents: Embedded, kernel: "Array") -> "Array":
    """Lay `masked_mean` and `max` side by side (SWEM-concat; Shen et al. 2018, arXiv:1805.09843)."""
    half = len(kernel) // 2
    return _masked_mean(documents) @ kernel[:half] + _max(documents) @ kernel[half:]


def attention(documents: Embedded, kernel: "Array") -> "Array":
    """Average over the words, weighted by the softmax of each embedding's last value: how much the word matters."""
    import jax

    weights = jax.nn.softmax(documents.vectors[..., -1], axis=1, where=documents.present)
    return (documents.vectors * weights[..., None]).sum(axis=1) @ kernel


POOLINGS: dict[str, Callable[[Embedded, "Array"], "Array"]] = {
    "flatten": flatten,
    "mean": mean,
    "sum": sum_,
    "masked_mean": masked_mean,
    "max": max_,
    "mean_max": mean_max,
    "attention": attention,
}
"""A pooling returns its vector times the kernel of the layer that follows, `float32[batch, outputs]`."""

ORDERLESS = {masked_mean, max_, mean_max, attention}
"""Poolings to which padding, and the order of the words, mean nothing."""

AVERAGES = {mean, masked_mean, mean_max}
"""Poolings that begin with an average of the embeddings."""


def size(pooling: str, max_len: int, embed_dim: int) -> int:
    """Return the size of the pooled vector, which is the kernel's number of rows."""
    return embed_dim * {"flatten": max_len, "mean_max": 2}.get(pooling, 1)


def _total(documents: Embedded) -> "Array":
    return documents.vectors.sum(axis=1) + documents.rest * documents.padding


def _masked_mean(documents: Embedded) -> "Array":
    present = documents.present[..., None]
    return (documents.vectors * present).sum(axis=1) / present.sum(axis=1).clip(1)


def _max(documents: Embedded) -> "Array":
    import jax.numpy as jnp

    present = documents.present[..., None]
    largest = jnp.where(present, documents.vectors, -jnp.inf).max(axis=1)
    return jnp.where(present.any(axis=1), largest, 0)
