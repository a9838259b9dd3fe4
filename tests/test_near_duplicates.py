"""Near-duplicates: every pair at or above the threshold, and no other."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from flaxtext.check.near_duplicates import most_similar, shingle_sets

TEXTS = st.lists(st.lists(st.integers(0, 5), max_size=12), min_size=1, max_size=25)


def flat(texts):
    words = np.array([word for text in texts for word in text], np.int32)
    return words, np.cumsum([0, *map(len, texts)])


def sets_of(texts, size):
    return [{tuple(t[i : i + size]) for i in range(max(len(t) - size + 1, 1))} if t else set() for t in texts]


def jaccard(one, other):
    return len(one & other) / len(one | other) if one | other else 0


def search(texts, size, threshold):
    """Look for each text among the earlier ones."""
    rows = np.arange(len(texts))
    return most_similar(shingle_sets(*flat(texts), size), np.zeros_like(rows), rows, threshold)


def test_a_set_by_hand():
    sets = shingle_sets(*flat([[7, 8, 7, 8], [7], [], [8, 7, 8]]), 2)
    assert sets.sum(axis=1).tolist() == [2, 1, 0, 2]  # 7 8 and 8 7; 7 alone; none; 8 7 and 7 8
    assert (sets @ sets.T).toarray().tolist() == [[2, 0, 0, 2], [0, 1, 0, 0], [0, 0, 0, 0], [2, 0, 0, 2]]
    document_frequency = sets.sum(axis=0)
    assert document_frequency.tolist() == sorted(document_frequency)


@given(TEXTS, st.integers(1, 4))
def test_sets_equal_those_of_python(texts, size):
    found, expected = shingle_sets(*flat(texts), size), sets_of(texts, size)
    shared = (found @ found.T).toarray()
    assert shared.tolist() == [[len(one & other) for other in expected] for one in expected]


@given(TEXTS, st.integers(1, 3), st.sampled_from([0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 1.0]))
def test_no_pair_is_missed_and_none_made_up(texts, size, threshold):
    match, similarity = search(texts, size, threshold)
    sets = sets_of(texts, size)
    for row, (other, value) in enumerate(zip(match, similarity, strict=True)):
        best = max([jaccard(sets[row], sets[earlier]) for earlier in range(row)], default=0)
        assert (other >= 0) == (best >= threshold)
        if other >= 0:
            assert other < row
            assert threshold <= value == jaccard(sets[row], sets[other]) <= best


@given(TEXTS, st.data())
def test_the_rows_to_look_among(texts, data):
    bound = st.lists(st.integers(0, len(texts)), min_size=len(texts), max_size=len(texts))
    first, last = np.array(data.draw(bound)), np.array(data.draw(bound))
    match, _ = most_similar(shingle_sets(*flat(texts), 1), first, last, 0.5)
    sets = sets_of(texts, 1)
    for row, other in enumerate(match):
        similar = [i for i in range(first[row], last[row]) if jaccard(sets[row], sets[i]) >= 0.5]
        assert (other in similar) if similar else (other == -1)


def test_the_most_similar_is_chosen_and_the_first_among_equals():
    text = list(range(20))
    texts = [[*text[:18], 50, 51], [*text[:19], 50], [*text[:19], 51], text]
    match, similarity = search(texts, 1, 0.7)
    assert match[3] == 1
    assert similarity[3] == 19 / 21


def test_thousands_of_copies_of_one_form_are_not_millions_of_comparisons(monkeypatch):
    from flaxtext.check import near_duplicates

    compared = []
    jaccard_of = near_duplicates.jaccard
    monkeypatch.setattr(
        near_duplicates,
        "jaccard",
        lambda sets, rows, *rest: compared.append(len(rows)) or jaccard_of(sets, rows, *rest),
    )
    rng = np.random.default_rng(0)
    form = np.tile(np.arange(40), (5000, 1))
    form[:, 20:23] = rng.integers(100, 10**6, (5000, 3))
    match, _ = search(form.tolist(), 2, 0.7)
    assert (match[1:] >= 0).all()
    assert sum(compared) < 40 * 5000
