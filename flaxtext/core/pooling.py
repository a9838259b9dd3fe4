"""How the embeddings of a document's words become one vector.

JAX is imported when a pooling runs, and not with this module: params.py asks it for the names, in every stage.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

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

    @property
    def total(self) -> "Array":
        """The sum over all positions, padding included: `float32[batch, embed_dim]`."""
        return self.vectors.sum(axis=1) + self.rest * self.padding

    @property
    def max_len(self) -> int:
        """Positions of a document, padding included."""
        return self.vectors.shape[1] + self.rest


class Summed(NamedTuple):
    """Documents of which no more is known than a pooling of SUMS asks for; `Embedded` tells what it is."""

    total: "Array"
    max_len: int


def flatten(documents: Embedded, kernel: "Array") -> "Array":
    """Lay the embeddings end to end; what padding adds is worked out once for all documents."""
    import jax
    import jax.numpy as jnp

    batch, width, embed_dim = documents.vectors.shape
    head, tail = jnp.split(kernel, [width * embed_dim], axis=1)
    rest = tail.reshape(len(tail), documents.rest, embed_dim).sum(axis=1) @ documents.padding
    # A second reader of the embeddings, which adds nothing, keeps XLA from reading and laying them out in one go: for
    # each value it would work out anew which row that is of, and take three to six times as long.
    rest += 0 * jax.lax.stop_gradient(documents.vectors[0, 0, 0])
    return documents.vectors.reshape(batch, width * embed_dim) @ head.T + rest


def mean(documents: Embedded | Summed, kernel: "Array") -> "Array":
    """Average over all positions, padding included, as the tutorial does."""
    return documents.total / documents.max_len @ kernel.T


def sum_(documents: Embedded | Summed, kernel: "Array") -> "Array":
    """Add up all positions, padding included, as the tutorial does."""
    return documents.total @ kernel.T


def masked_mean(documents: Embedded, kernel: "Array") -> "Array":
    """Average over the words alone; no words give zeros."""
    return _masked_mean(documents) @ kernel.T


def max_(documents: Embedded, kernel: "Array") -> "Array":
    """Take the largest value of each dimension over the words; no words give zeros."""
    return _max(documents) @ kernel.T


def mean_max(documents: Embedded, kernel: "Array") -> "Array":
    """Lay `masked_mean` and `max` side by side (SWEM-concat; Shen et al. 2018, arXiv:1805.09843)."""
    import jax.numpy as jnp

    averages, maxima = jnp.split(kernel, 2, axis=1)
    return _masked_mean(documents) @ averages.T + _max(documents) @ maxima.T


def attention(documents: Embedded, kernel: "Array") -> "Array":
    """Average over the words, weighted by the softmax of each embedding's last value: how much the word matters."""
    import jax

    weights = jax.nn.softmax(documents.vectors[..., -1], axis=1, where=documents.present)
    return (documents.vectors * weights[..., None]).sum(axis=1) @ kernel.T


POOLINGS: dict[str, Callable[[Any, "Array"], "Array"]] = {
    "flatten": flatten,
    "mean": mean,
    "sum": sum_,
    "masked_mean": masked_mean,
    "max": max_,
    "mean_max": mean_max,
    "attention": attention,
}
"""A pooling returns its vector times the kernel of the layer that follows, `float32[batch, outputs]`.

It takes the kernel transposed, `float32[outputs, inputs]`, which is how it lies in training (`stepping.turned`).
"""

ORDERLESS = {masked_mean, max_, mean_max, attention}
"""Poolings to which padding, and the order of the words, mean nothing."""

SUMS = {mean, sum_}
"""Poolings for which the sum over all positions is enough."""

AVERAGES = {mean, masked_mean, mean_max}
"""Poolings that begin with an average of the embeddings."""


def size(pooling: str, max_len: int, embed_dim: int) -> int:
    """Return the size of the pooled vector, which is the kernel's number of rows."""
    return embed_dim * {"flatten": max_len, "mean_max": 2}.get(pooling, 1)


def _masked_mean(documents: Embedded) -> "Array":
    present = documents.present[..., None]
    return (documents.vectors * present).sum(axis=1) / present.sum(axis=1).clip(1)


def _max(documents: Embedded) -> "Array":
    import jax.numpy as jnp

    present = documents.present[..., None]
    largest = jnp.where(present, documents.vectors, -jnp.inf).max(axis=1)
    return jnp.where(present.any(axis=1), largest, 0)
