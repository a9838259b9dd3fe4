import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaxtext.explain import faithfulness
from flaxtext.explain.explanation import Contributions, leave_one_out
from flaxtext.explain.faithfulness import (
    BINS,
    Document,
    agreement,
    importance_of_words,
    judge,
    lime,
    measure_faithfulness,
    random_words,
    scores_of_contributions,
    scores_of_words,
)

MAX_LEN = 6
EFFECT = np.random.default_rng(1).normal(size=(20, 3)) * np.r_[0, np.linspace(3, 0.1, 19)][:, None]


def predict(ids):
    """A classifier of three classes to which each word adds the same wherever it stands."""
    assert ids.dtype == np.int32
    assert ids.shape[1] == MAX_LEN
    logits = EFFECT[ids].sum(axis=1)
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32)


def document(ids, row=0):
    return Document(row, [f"w{id_}" if id_ else f"unknown{place}" for place, id_ in enumerate(ids)], np.int32(ids))


def left_out(documents):
    return leave_one_out([own.ids for own in documents], predict, MAX_LEN)


def row_of(ids):
    known = [id_ for id_ in ids if id_][:MAX_LEN]
    return np.array([known + [0] * (MAX_LEN - len(known))], np.int32)


ids_lists = st.lists(st.lists(st.integers(0, 9), max_size=12), max_size=5)


@given(ids_lists)
def test_leaving_a_word_out_is_predicting_the_shortened_text(lists):
    found = leave_one_out([np.array(ids, np.int32) for ids in lists], predict, MAX_LEN)
    assert len(found) == len(lists)
    for ids, one in zip(lists, found, strict=True):
        before = predict(row_of(ids))[0]
        np.testing.assert_allclose(one.probabilities, before, atol=1e-6)
        known = [id_ for id_ in ids if id_]
        assert one.word_ids.tolist() == list(dict.fromkeys(known[:MAX_LEN]))
        for id_, weights in zip(one.word_ids, one.weights, strict=True):
            after = predict(row_of([other for other in ids if other != id_]))[0]
            np.testing.assert_allclose(weights, before - after, atol=1e-6)


def obvious(ids, scores, label):
    """Comprehensiveness and sufficiency of one document, by the obvious route."""
    known = [id_ for id_ in ids if id_]
    order = sorted(range(len(scores)), key=lambda place: -scores[place])
    before = predict(row_of(ids))[0, label]
    without, alone = [], []
    for share in BINS:
        chosen = set(order[: int(np.ceil(share * len(scores)))])
        without.append(before - predict(row_of([x for i, x in enumerate(known) if i not in chosen]))[0, label])
        alone.append(before - predict(row_of([x for i, x in enumerate(known) if i in chosen]))[0, label])
    return np.mean(without), np.mean(alone)


@given(ids_lists.filter(lambda lists: any(any(ids) for ids in lists)), st.integers(0, 9))
def test_comprehensiveness_and_sufficiency_by_the_obvious_route(lists, seed):
    lists = [ids for ids in lists if any(ids)]
    rng = np.random.default_rng(seed)
    documents = [document(ids) for ids in lists]
    scores = [rng.permutation(own.reach(MAX_LEN)).astype(float) for own in documents]
    labels = rng.integers(0, 3, len(lists)).astype(np.int32)
    result = measure_faithfulness(documents, scores, labels, predict, MAX_LEN)
    expected = [obvious(*args) for args in zip(lists, scores, labels.tolist(), strict=True)]
    np.testing.assert_allclose(np.stack([result.comprehensiveness, result.sufficiency], 1), expected, atol=1e-6)


def many(n=60, seed=0):
    rng = np.random.default_rng(seed)
    return [document([*rng.integers(0, 20, rng.integers(2, 12)).tolist(), 1], row) for row in range(n)]


def test_blocks_change_nothing(monkeypatch):
    documents = many(32)
    labels = np.zeros(len(documents), np.int32)
    scores = [np.arange(own.reach(MAX_LEN), dtype=float) for own in documents]
    whole = measure_faithfulness(documents, scores, labels, predict, MAX_LEN)
    found = left_out(documents)
    monkeypatch.setattr("flaxtext.explain.explanation.BLOCK_DOCUMENTS", 7)
    monkeypatch.setattr("flaxtext.explain.faithfulness.BLOCK_DOCUMENTS", 7)
    np.testing.assert_array_equal(
        measure_faithfulness(documents, scores, labels, predict, MAX_LEN).sufficiency, whole.sufficiency
    )
    for one, other in zip(found, left_out(documents), strict=True):
        np.testing.assert_array_equal(one.weights, other.weights)


def test_true_explanations_beat_random_words_and_false_ones_do_not():
    documents = many()
    found = left_out(documents)
    labels = np.array([one.probabilities.argmax() for one in found], np.int32)
    true = scores_of_contributions(documents, found, labels, MAX_LEN)
    chance = random_words(documents, labels, predict, MAX_LEN, np.random.default_rng(0))
    right = measure_faithfulness(documents, true, labels, predict, MAX_LEN)
    wrong = measure_faithfulness(documents, [-own for own in true], labels, predict, MAX_LEN)
    assert right.comprehensiveness.mean() > chance.comprehensiveness.mean() + 0.1 > wrong.comprehensiveness.mean() + 0.1
    assert right.sufficiency.mean() < chance.sufficiency.mean() - 0.1 < wrong.sufficiency.mean() - 0.1


def test_judging_prints_plain_figures_and_another_document_changes_nothing():
    documents = many()
    found = left_out(documents)
    figures = judge(documents, found, predict, max_len=MAX_LEN, samples=300, seed=0)
    assert figures == judge(documents, found, predict, max_len=MAX_LEN, samples=300, seed=0)
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
    options = {"max_len": MAX_LEN, "samples": 300, "seed": 0}
    labels = np.zeros(len(documents), np.int32)
    assert lime(documents[5:6], predict, labels[:1], **options) == lime(documents, predict, labels, **options)[5:6]


def test_lime_weighs_every_word_and_unknown_ones_count_for_nothing():
    own = document([1, 0, 2, 3, 0, 4])
    [one] = lime([own], predict, np.array([0], np.int32), max_len=MAX_LEN, samples=2000, seed=0)
    assert set(one.weights) == set(own.tokens)
    assert abs(one.weights["unknown1"]) < 0.1 * max(map(abs, one.weights.values()))
    [scores] = scores_of_words([own], [one], MAX_LEN)
    assert scores.tolist() == [one.weights[word] for word in ("w1", "w2", "w3", "w4")]
    assert agreement([one], [one]) == [1]


def test_importance_adds_up_over_documents():
    documents = [document([1, 2, 1]), document([2, 3]), document([0, 2])]
    found = left_out(documents)
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
