import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaxtext.explain import explanation, faithfulness
from flaxtext.explain.explanation import Contributions, Document, leave_one_out
from flaxtext.explain.faithfulness import (
    BINS,
    RANDOM_ORDERS,
    agreement,
    average,
    importance_of_words,
    judge,
    lime,
    measure_faithfulness,
    random_scores,
    scores_of_contributions,
    scores_of_words,
)
from flaxtext.text.token_ids import TokenIds

MAX_LEN = 6
UNKNOWN = 20
MARK = -9
EFFECT = np.random.default_rng(1).normal(size=(20, 3)) * np.r_[0, np.linspace(3, 0.1, 19)][:, None]


def predict(ids):
    """A classifier of three classes that reads the first words that it knows, wherever they stand, and marks."""
    known = [id_ for id_ in ids if 0 < id_ < UNKNOWN][:MAX_LEN]
    logits = EFFECT[known].sum(axis=0) + 0.1 * np.arange(3) * list(ids).count(MARK)
    odds = np.exp(logits - logits.max())
    return (odds / odds.sum()).astype(np.float32)


def answers(documents):
    found = []
    for one in documents:
        forms = one.forms()
        ends = forms.offsets[1:].tolist()
        found.append(
            np.stack([predict(forms.ids[end - size : end]) for end, size in zip(ends, forms.lengths, strict=True)])
        )
    return found


def document(ids, row=0):
    tokens = [f"w{id_}" if id_ < UNKNOWN else f"unknown{place}" for place, id_ in enumerate(ids) if id_ > 0]
    return Document(row, tokens, TokenIds(np.array(ids, np.int32), np.array([0, len(ids)])))


def reach(ids):
    """Which of the words and marks are words that can matter."""
    known = np.array([0 < id_ < UNKNOWN for id_ in ids], bool)
    return known & (np.cumsum(known) <= MAX_LEN)


def prepare(lists):
    documents = [document(ids, row) for row, ids in enumerate(lists)]
    return documents, [reach(ids) for ids in lists]


def left_out(documents, reached):
    return leave_one_out([own.ids for own in documents], reached, answers)


ids_lists = st.lists(st.lists(st.sampled_from([MARK, *range(1, 8), UNKNOWN]), max_size=12), max_size=5)


@given(ids_lists)
def test_leaving_a_word_out_is_predicting_the_shortened_text(lists):
    found = left_out(*prepare(lists))
    assert len(found) == len(lists)
    for ids, one in zip(lists, found, strict=True):
        before = predict(ids)
        np.testing.assert_allclose(one.probabilities, before, atol=1e-6)
        known = [id_ for id_ in ids if 0 < id_ < UNKNOWN]
        assert one.word_ids.tolist() == list(dict.fromkeys(known[:MAX_LEN]))
        for id_, weights in zip(one.word_ids, one.weights, strict=True):
            after = predict([other for other in ids if other != id_])
            np.testing.assert_allclose(weights, before - after, atol=1e-6)


def test_of_a_long_document_the_first_words_are_left_out(monkeypatch):
    monkeypatch.setattr(explanation, "MAX_DISTINCT", 2)
    [one] = left_out(*prepare([[3, 5, 3, 4, 6]]))
    assert one.word_ids.tolist() == [3, 5]
    np.testing.assert_allclose(one.weights[1], predict([3, 5, 3, 4, 6]) - predict([3, 3, 4, 6]), atol=1e-6)


def obvious(ids, scores, label):
    """Comprehensiveness and sufficiency of one document, by the obvious route: marks and words unreached stay or go."""
    words = np.flatnonzero(reach(ids)).tolist()
    order = [words[place] for place in sorted(range(len(scores)), key=lambda place: -scores[place])]
    before = predict(ids)[label]
    without, alone = [], []
    for share in BINS:
        chosen = set(order[: int(np.ceil(share * len(scores)))])
        without.append(before - predict([x for i, x in enumerate(ids) if i not in chosen])[label])
        alone.append(before - predict([x for i, x in enumerate(ids) if i in chosen or x < 0])[label])
    return np.mean(without), np.mean(alone)


@given(ids_lists, st.integers(0, 9))
def test_comprehensiveness_and_sufficiency_by_the_obvious_route(lists, seed):
    lists = [ids for ids in lists if reach(ids).any()] or [[1]]
    rng = np.random.default_rng(seed)
    documents, reached = prepare(lists)
    orders = [[rng.permutation(int(one.sum())).astype(float) for one in reached] for _ in range(2)]
    labels = rng.integers(0, 3, len(lists)).astype(np.int32)
    results = measure_faithfulness(documents, reached, orders, labels, answers)
    for scores, result in zip(orders, results, strict=True):
        expected = [obvious(*each) for each in zip(lists, scores, labels.tolist(), strict=True)]
        np.testing.assert_allclose(np.stack([result.comprehensiveness, result.sufficiency], 1), expected, atol=1e-6)


def many(n=60, seed=0):
    rng = np.random.default_rng(seed)
    return prepare([[*rng.integers(1, 21, rng.integers(2, 12)).tolist(), 1] for _ in range(n)])


def test_blocks_change_nothing(monkeypatch):
    documents, reached = many(32)
    labels = np.zeros(len(documents), np.int32)
    scores = [[np.arange(own.sum(), dtype=float) for own in reached]]
    [whole] = measure_faithfulness(documents, reached, scores, labels, answers)
    found = left_out(documents, reached)
    monkeypatch.setattr(explanation, "BLOCK_WORDS", 7000)
    [again] = measure_faithfulness(documents, reached, scores, labels, answers)
    np.testing.assert_array_equal(again.sufficiency, whole.sufficiency)
    for one, other in zip(found, left_out(documents, reached), strict=True):
        np.testing.assert_array_equal(one.weights, other.weights)


def test_true_explanations_beat_random_words_and_false_ones_do_not():
    documents, reached = many()
    found = left_out(documents, reached)
    labels = np.array([one.probabilities.argmax() for one in found], np.int32)
    true = scores_of_contributions(documents, reached, found, labels)
    scores = [true, [-own for own in true], *random_scores(reached, np.random.default_rng(0))]
    assert len(scores) == 2 + RANDOM_ORDERS
    right, wrong, *orders = measure_faithfulness(documents, reached, scores, labels, answers)
    chance = average(orders)
    assert right.comprehensiveness.mean() > chance.comprehensiveness.mean() + 0.1 > wrong.comprehensiveness.mean() + 0.1
    assert right.sufficiency.mean() < chance.sufficiency.mean() - 0.1 < wrong.sufficiency.mean() - 0.1


def test_judging_prints_plain_figures_and_another_document_changes_nothing():
    documents, reached = many(40)
    found = left_out(documents, reached)
    figures = judge(documents, reached, found, answers, samples=200, seed=0)
    assert figures == judge(documents, reached, found, answers, samples=200, seed=0)
    assert figures["documents"] == len(documents)
    assert figures["lime"]["comprehensiveness"] > figures["random"]["comprehensiveness"] + 0.1
    assert figures["lime"]["sufficiency"] < figures["random"]["sufficiency"] - 0.1
    margin = figures["lime_over_random"]["comprehensiveness"]
    assert 0 < margin["low"] < margin["value"] < margin["high"]
    assert margin["value"] == pytest.approx(
        figures["lime"]["comprehensiveness"] - figures["random"]["comprehensiveness"], abs=2e-6
    )
    assert 0.5 < figures["lime"]["stability"] <= 1
    assert 0.3 < figures["lime"]["fit"] <= 1
    options = {"samples": 200, "seed": 0}
    labels = np.zeros(len(documents), np.int32)
    assert lime(documents[5:6], answers, labels[:1], **options) == lime(documents, answers, labels, **options)[5:6]


def test_lime_weighs_every_word_and_unknown_ones_count_for_nothing():
    ids = [1, UNKNOWN, MARK, 2, 3, UNKNOWN, 4]
    [own], reached = prepare([ids])
    [one] = lime([own], answers, np.array([0], np.int32), samples=2000, seed=0)
    assert set(one.weights) == {"w1", "unknown1", "w2", "w3", "unknown5", "w4"}
    assert abs(one.weights["unknown1"]) < 0.1 * max(map(abs, one.weights.values()))
    [scores] = scores_of_words([own], reached, [one])
    assert scores.tolist() == [one.weights[word] for word in ("w1", "w2", "w3", "w4")]
    assert agreement([one], [one]) == [1]


def test_importance_adds_up_over_documents():
    documents, reached = prepare([[1, 2, 1], [2, 3], [UNKNOWN, 2]])
    found = left_out(documents, reached)
    important = importance_of_words(found, pa.array([f"w{id_}" for id_ in range(1, 20)]))
    assert dict(zip(important.words, important.documents.tolist(), strict=True)) == {"w1": 1, "w2": 3, "w3": 1}
    expected = sum(one.weights[one.word_ids.tolist().index(2)] for one in found) / 3
    of_word = [important.of_class(code)["w2"] for code in range(3)]
    np.testing.assert_allclose(of_word, expected, atol=1e-6)
    assert (np.diff(np.abs(important.weights), axis=1) <= 0).all()
    assert (np.diff(np.abs(important.weights).max(axis=1)) <= 0).all()


@pytest.mark.parametrize("block", [1, 100, 2**22])
def test_of_many_classes_those_are_kept_that_a_word_moves_most(block, monkeypatch):
    monkeypatch.setattr(faithfulness, "BLOCK_WEIGHTS", block)
    rng = np.random.default_rng(0)
    found = [
        Contributions(rng.permutation(8)[:5].astype(np.int32) + 1, None, rng.normal(size=(5, 40)).astype(np.float32))
        for _ in range(7)
    ]
    important = importance_of_words(found, pa.array([f"w{id_}" for id_ in range(1, 20)]))
    assert important.classes.shape == important.weights.shape == (len(important.words), 10)
    for word, count, classes, weights in zip(
        important.words, important.documents, important.classes, important.weights, strict=True
    ):
        own = [one.weights[one.word_ids == int(word[1:])] for one in found]
        mean = np.concatenate(own).sum(axis=0) / 7
        assert count == len(np.concatenate(own))
        assert classes.tolist() == np.argsort(-np.abs(mean))[:10].tolist()
        np.testing.assert_allclose(weights, mean[classes], atol=1e-6)
