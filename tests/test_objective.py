"""What a step of training lowers, worked out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from flaxtext.config.train import NetworkVariant
from flaxtext.train.objective import Objective, balanced


def test_label_smoothing_by_hand():
    logits = jnp.log(jnp.array([[0.7, 0.2, 0.1], [0.3, 0.3, 0.4]]))
    loss = Objective(label_smoothing=0.3).loss(logits, jnp.array([0, -1]))
    assert float(loss) == pytest.approx(-(0.8 * np.log(0.7) + 0.1 * np.log(0.2) + 0.1 * np.log(0.1)), rel=1e-5)


def test_class_weights_by_hand():
    logits = jnp.log(jnp.array([[0.7, 0.3], [0.4, 0.6], [0.5, 0.5]]))
    loss = Objective(class_weights=(2.0, 0.5)).loss(logits, jnp.array([0, 1, -1]))
    assert float(loss) == pytest.approx(-(2 * np.log(0.7) + 0.5 * np.log(0.6)), rel=1e-5)


def test_the_squared_hinge_by_hand():
    """Each class against the rest: what is beyond the margin of 1, on the right side, costs nothing."""
    logits = jnp.array([[0.5, -2.0, 0.25], [3.0, 3.0, 3.0], [9.0, 9.0, 9.0]])
    objective = Objective(squared_hinge=True, class_weights=(2.0, 0.5, 1.0))
    loss = objective.loss(logits, jnp.array([0, 1, -1]))
    assert float(loss) == pytest.approx(2 * (0.5**2 + 0 + 1.25**2) + 0.5 * (4**2 + 0 + 4**2), rel=1e-5)


def test_balanced_classes_count_the_same():
    labels = np.array([0, 0, 0, 1])
    weights = balanced(labels)
    assert weights == pytest.approx((4 / 6, 2))
    assert weights == pytest.approx(compute_class_weight("balanced", classes=np.array([0, 1]), y=labels))
    settings = NetworkVariant(pooling="max", embed_dim=1, class_weights="balanced", word_dropout=0.1)
    assert Objective.of(settings, labels) == Objective(word_dropout=0.1, class_weights=weights)
    hinge = NetworkVariant(pooling="max", embed_dim=1, loss="squared_hinge")
    assert Objective.of(hinge, labels) == Objective(squared_hinge=True)


def test_dropped_words_are_padding_and_about_as_many_as_asked_for():
    ids = jnp.ones((100, 100), jnp.int32)
    dropped = Objective(word_dropout=0.3).drop(ids, jax.random.key(0))
    assert float((dropped == 0).mean()) == pytest.approx(0.3, abs=0.02)
    assert Objective().drop(ids, jax.random.key(0)) is ids
