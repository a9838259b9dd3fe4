"""The validation split."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaxtext.text.token_ids import choose_validation


@given(st.lists(st.integers(0, 4), min_size=1, max_size=300), st.floats(0, 0.9), st.integers(0, 5))
def test_each_class_gives_about_its_fraction_and_keeps_a_document(labels, fraction, seed):
    labels = np.array(labels, np.int32)
    chosen = choose_validation(labels, fraction, seed)
    sizes = np.unique(labels, return_counts=True)[1]
    given_by_class = [int(chosen[labels == label].sum()) for label in np.unique(labels)]
    owed = 0.0
    for size, given_ in zip(sizes.tolist(), given_by_class, strict=True):
        owed += fraction * size
        assert given_ <= size - 1
        assert (
            given_ == size - 1 or abs(owed - given_) <= 0.5 + 1e-9
        )  # what rounding leaves over, the next makes up for
        owed = min(owed - given_, 1.0)


def test_one_class_gives_its_fraction_as_a_whole_number():
    assert [choose_validation(np.zeros(n, np.int32), 0.05, 0).sum() for n in (1, 2, 9, 11, 100, 1000)] == [
        0,
        0,
        0,
        1,
        5,
        50,
    ]


@pytest.mark.parametrize(("classes", "size"), [(300, 4), (77, 9), (5000, 2), (150, 100)])
def test_many_classes_of_few_documents_give_some(classes, size):
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(classes, dtype=np.int32), size))
    chosen = choose_validation(labels, 0.05, 0)
    assert abs(chosen.sum() - 0.05 * len(labels)) <= 1
    assert np.bincount(labels[chosen], minlength=classes).max() <= -(-size // 20) + 1


def test_a_class_of_one_document_gives_none_and_the_next_does_not_make_up_for_all():
    labels = np.append(np.arange(100, dtype=np.int32), np.full(40, 100, np.int32))
    chosen = choose_validation(labels, 0.05, 0)
    assert not chosen[:100].any()
    assert chosen.sum() == 3  # two of its own, and one that is owed


def test_the_seed_chooses():
    labels = np.zeros(1000, np.int32)
    assert np.array_equal(choose_validation(labels, 0.1, 0), choose_validation(labels, 0.1, 0))
    assert not np.array_equal(choose_validation(labels, 0.1, 0), choose_validation(labels, 0.1, 1))
