"""The validation share."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from flaxtext.artifacts.split import held_out


@given(st.lists(st.integers(0, 4), min_size=1, max_size=300), st.floats(0, 0.9), st.integers(0, 5))
def test_each_class_gives_its_share_and_keeps_a_document(labels, share, seed):
    labels = np.array(labels, np.int32)
    chosen = held_out(labels, share, seed)
    for label in np.unique(labels):
        size = (labels == label).sum()
        assert chosen[labels == label].sum() == min(round(share * size), size - 1)


def test_the_seed_chooses():
    labels = np.zeros(1000, np.int32)
    assert np.array_equal(held_out(labels, 0.1, 0), held_out(labels, 0.1, 0))
    assert not np.array_equal(held_out(labels, 0.1, 0), held_out(labels, 0.1, 1))
