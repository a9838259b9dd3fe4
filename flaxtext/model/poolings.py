"""How the embeddings of a document's words become one vector: a function and a line of `POOLINGS` each.

They are written over the array API, for NumPy and JAX alike. A pooling returns the parts of its vector, which lie side
by side: `float32[n, k]`, or `Repeated` for one that is the same for all documents.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np

Array: TypeAlias = Any
"""An array of NumPy or of JAX."""


class Embedded(NamedTuple):
    """Documents, embedded up to the last position that any of them fills.

    Attributes:
        vectors: float32[n, width, embed_dim].
        present: bool[n, width]; false where a position holds padding.
        padding: float32[embed_dim]; the embedding of padding, which each position beyond `width` holds.
        rest: how many positions that is; 0 where documents are padded to no size of their own.
        weights: float32[n, width]; what each position counts, for a pooling that weighs. None for others.
    """

    vectors: Array
    present: Array
    padding: Array
    rest: int
    weights: Array | None = None

    @property
    def total(self) -> Array:
        """The sum over all positions, padding included: `float32[n, embed_dim]`."""
        return self.vectors.sum(axis=1) + self.rest * self.padding

    @property
    def positions(self) -> int:
        """Positions of a document, padding included."""
        return int(self.vectors.shape[1]) + self.rest


class Summed(NamedTuple):
    """Documents of which only the sum over all positions, weighted or not, is known: enough for a pooling that adds up.

    Attributes:
        total: float32[n, embed_dim].
        positions: of a document, padding included; 0 where padding does not count.
        words: int32[n]; how many words a document holds, padding not included; None where only padding counts.
    """

    total: Array
    positions: int = 0
    words: Array = None


class Repeated(NamedTuple):
    """A part of the pooled vector that holds `vector: float32[k]` several times, whatever the document.

    `zero` is added to what the part contributes; `flatten` tells why.
    """

    vector: Array
    times: int
    zero: Array


Parts: TypeAlias = tuple[Any, ...]


def flatten(documents: Embedded) -> Parts:
    """Lay the embeddings end to end, padding included."""
    n, width, embed_dim = documents.vectors.shape
    # A second reader of the embeddings, which adds nothing, keeps XLA from reading and laying them out in one go: for
    # each value it would work out anew which row that is of, and take three to six times as long.
    zero = 0 * _constant(documents.vectors[0, 0, 0]) if n else 0
    return documents.vectors.reshape(n, width * embed_dim), Repeated(documents.padding, documents.rest, zero)


def padded_mean(documents: Embedded | Summed) -> Parts:
    """Average over all positions, padding included, as the tutorial does."""
    return (documents.total / documents.positions,)


def padded_sum(documents: Embedded | Summed) -> Parts:
    """Add up all positions, padding included, as the tutorial does."""
    return (documents.total,)


def mean(documents: Embedded | Summed) -> Parts:
    """Average over the words alone; no words give zeros."""
    if isinstance(documents, Summed):
        return (documents.total / documents.words.clip(1)[:, None],)
    present = documents.present[..., None]
    return ((documents.vectors * present).sum(axis=1) / present.sum(axis=1).clip(1).astype(np.float32),)


def sum_(documents: Embedded | Summed) -> Parts:
    """Add up the words alone."""
    if isinstance(documents, Summed):
        return (documents.total,)
    return ((documents.vectors * documents.present[..., None]).sum(axis=1),)


def max_(documents: Embedded) -> Parts:
    """Take the largest value of each dimension over the words; no words give zeros."""
    xp = documents.vectors.__array_namespace__()
    present = documents.present[..., None]
    largest = xp.where(present, documents.vectors, -xp.inf).max(axis=1)
    return (xp.where(present.any(axis=1), largest, 0),)


def mean_max(documents: Embedded) -> Parts:
    """Lay `mean` and `max` side by side (SWEM-concat; Shen et al. 2018, arXiv:1805.09843)."""
    return (*mean(documents), *max_(documents))


def attention(documents: Embedded) -> Parts:
    """Average over the words, weighted by the softmax of each embedding's last value: how much the word matters."""
    xp = documents.vectors.__array_namespace__()
    scores = xp.where(documents.present, documents.vectors[..., -1], -xp.inf)
    highest = xp.where(documents.present.any(axis=1), scores.max(axis=1), 0)
    odds = xp.exp(scores - highest[:, None])
    weights = odds / odds.sum(axis=1).clip(np.finfo(np.float32).tiny)[:, None]
    return ((documents.vectors * weights[..., None]).sum(axis=1),)


def tfidf(documents: Embedded | Summed) -> Parts:
    """Add up the features, each times its weight (`model.tfidf`)."""
    if isinstance(documents, Summed):
        return (documents.total,)
    if documents.weights is None:
        raise ValueError("tfidf adds up weighted features, and these have no weights")
    return ((documents.weights[:, None, :] @ documents.vectors)[:, 0],)


class Pooling(NamedTuple):
    """How to speak of a pooling.

    Attributes:
        pool: the function.
        parts: how many embeddings long the vector is, given the positions of a document.
        averages: whether it begins with an average of the embeddings, which may start as log-count ratios.
        padded: whether padding counts, so that each document has the same number of positions.
        weighs: whether each distinct feature of a document counts once, by its weight.
    """

    pool: Callable[[Any], Parts]
    parts: Callable[[int], int] = lambda _positions: 1
    averages: bool = False
    padded: bool = False
    weighs: bool = False


POOLINGS = {
    "flatten": Pooling(flatten, parts=lambda positions: positions, padded=True),
    "padded_mean": Pooling(padded_mean, averages=True, padded=True),
    "padded_sum": Pooling(padded_sum, padded=True),
    "mean": Pooling(mean, averages=True),
    "sum": Pooling(sum_),
    "max": Pooling(max_),
    "mean_max": Pooling(mean_max, parts=lambda _positions: 2, averages=True),
    "attention": Pooling(attention),
    "tfidf": Pooling(tfidf, weighs=True),
}
"""Every pooling, by its name in params.yaml."""


def _constant(value: Array) -> Array:
    """Return `value` without its gradient."""
    if isinstance(value, np.generic | np.ndarray):
        return value
    from jax.lax import stop_gradient

    return stop_gradient(value)
