"""What a step of training lowers: cross-entropy or the squared hinge, and what regularises it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from flaxtext.config.train import NetworkVariant


class Objective(NamedTuple):
    """What a step lowers; hashable, since a compiled step is made for it.

    Attributes:
        squared_hinge: whether the loss is the squared hinge of each class against the rest, as a linear support vector
            machine has it, and not cross-entropy.
        label_smoothing: fraction of a document's label that is spread over all classes (Szegedy et al. 2016).
        word_dropout: fraction of the ids that each step leaves out (Iyyer et al. 2015).
        class_weights: what a document of each class counts; None for 1 each.
    """

    squared_hinge: bool = False
    label_smoothing: float = 0.0
    word_dropout: float = 0.0
    class_weights: tuple[float, ...] | None = None

    @classmethod
    def of(cls, settings: NetworkVariant, labels: np.ndarray) -> "Objective":
        """Take what params.yaml says of a variant that is trained on `labels: int32[n]`."""
        weights = balanced(labels) if settings.class_weights == "balanced" else None
        return cls(settings.loss == "squared_hinge", settings.label_smoothing, settings.word_dropout, weights)

    def loss(self, logits: jax.Array, labels: jax.Array) -> jax.Array:
        """Sum the loss over a batch; a label of -1 fills the batch up and does not count."""
        known = jnp.maximum(labels, 0)
        is_label = jax.nn.one_hot(known, logits.shape[1])
        if self.squared_hinge:
            losses = jnp.square(jax.nn.relu(1 - (2 * is_label - 1) * logits)).sum(axis=1)
        else:
            losses = optax.softmax_cross_entropy(logits, optax.smooth_labels(is_label, self.label_smoothing))
        if self.class_weights is not None:
            losses *= jnp.asarray(self.class_weights)[known]
        return jnp.where(labels >= 0, losses, 0).sum()

    def drop(self, ids: jax.Array, key: jax.Array) -> jax.Array:
        """Replace some ids by padding, which is 0."""
        if not self.word_dropout:
            return ids
        return jnp.where(jax.random.bernoulli(key, self.word_dropout, ids.shape), 0, ids)


def balanced(labels: np.ndarray) -> tuple[float, ...]:
    """Weigh classes so that each counts the same in all, as scikit-learn's `balanced` does; a document's mean is 1.

    Classes without documents have no part in it.
    """
    counts = np.bincount(labels)
    return tuple((len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1))).tolist())
