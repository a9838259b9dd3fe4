"""The validation split."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from flaxtext.text.token_ids import choose_validation


@given(st.lists(st.integers(0, 4), min_size=1, max_size=300), st.floats(0, 0.9), st.integers(0, 5))
def test_each_class_gives_its_fraction_and_keeps_a_document(labels, fraction, seed):
    labels = np.array(labels, np.int32)
    chosen = choose_validation(labels, fraction, seed)
    for label in np.unique(labels):
        size = (labels == label).sum()
        assert chosen[labels == label].sum() == min(round(fraction * size), size - 1)


def test_the_seed_chooses():
    labels = np.zeros(1000, np.int32)
    assert np.array_equal(choose_validation(labels, 0.1, 0), choose_validation(labels, 0.1, 0))
    assert not np.array_equal(choose_validation(labels, 0.1, 0), choose_validation(labels, 0.1, 1))
