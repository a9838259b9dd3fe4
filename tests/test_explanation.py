import importlib.util
import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from conftest import PROJECT
from hypothesis import given
from hypothesis import strategies as st
from lime.lime_text import LimeTextExplainer

from flaxtext.artifacts.corpus import Corpus, open_corpus
from flaxtext.artifacts.importance import read_importance
from flaxtext.artifacts.predictions import Answers, Predictions, write_predictions
from flaxtext.config.explain import Explain
from flaxtext.core.errors import UserError
from flaxtext.explain import explanation
from flaxtext.explain.documents import choose_documents
from flaxtext.explain.explanation import (
    MAX_TOKENS,
    explain,
    explain_together,
    fit_linear_models,
    masked_ids,
    one_blas_thread,
    sample_masks,
)
from flaxtext.model.architecture import Architecture
from flaxtext.text.vocabulary import Vocabulary

MAX_LEN = 12
SAMPLES = 1500
VOCABULARY = {f"w{number}": number for number in range(1, 60)}  # words from w60 on are unknown
DOCUMENTS = {
    "distinct": " ".join(f"w{number}" for number in range(1, 16)),
    "repeated": "w3 w7 w3 w9 w11 w3 w7 w40 w41 w42 w43 w44 w3 w20 w21",
    "unknown": "w99 w5 w98 w6 w99 w8 w97 w30 w31 w32 w33 w96 w34",
    "short": "w5 w6 w5 w7",
    "one word": "w5",
    "one word twice": "w5 w5",
    "one unknown word": "w99",
}


def classifier(pooling, max_len=MAX_LEN):
    """A network like flaxtext's, in NumPy, with arbitrary parameters."""
    rng = np.random.default_rng(7)
    embedding = rng.normal(size=(len(VOCABULARY) + 1, 6)).astype(np.float32)
    embedding[1:] *= 6 / np.arange(1, len(VOCABULARY) + 1, dtype=np.float32)[:, None]  # some words matter, most do not
    embedding[0] *= 0.1
    hidden = rng.normal(size=(6 * (max_len if pooling == "flatten" else 1), 16)).astype(np.float32)
    output = rng.normal(size=(16, 4)).astype(np.float32) / 4

    def predict(ids):
        assert ids.dtype == np.int32
        assert ids.shape[1] == max_len
        vectors = embedding[ids]
        pooled = {"flatten": vectors.reshape(len(ids), -1), "mean": vectors.mean(1), "sum": vectors.sum(1)}[pooling]
        logits = np.maximum(pooled @ hidden / 4, 0) @ output
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        return odds / odds.sum(axis=1, keepdims=True)

    return predict


def ids_of(tokens):
    return np.array([VOCABULARY.get(token, 0) for token in tokens], dtype=np.int32)


def retokenized(tokens, max_len=MAX_LEN):
    """Ids of a text by the obvious route: look up, drop unknown words, cut, pad."""
    known = [VOCABULARY[token] for token in tokens if token in VOCABULARY][:max_len]
    return known + [0] * (max_len - len(known))


def run_lime(text, predict, label, words, seed=0):
    """Explain with the lime package; returns its explanation and what it saw: masks, probabilities."""
    seen = {}

    def classify(texts):
        distinct = list(dict.fromkeys(text.split()))
        kept = [set(shortened.split()) for shortened in texts]
        seen["masks"] = np.array([[word in words for word in distinct] for words in kept])
        seen["probabilities"] = predict(np.array([retokenized(t.split()) for t in texts], dtype=np.int32))
        return seen["probabilities"]

    # feature_selection is what "auto" comes to for more than six words
    explainer = LimeTextExplainer(random_state=seed, split_expression=r"\s+", feature_selection="highest_weights")
    explanation = explainer.explain_instance(text, classify, labels=[label], num_features=words, num_samples=SAMPLES)
    return explanation, seen


def assert_same(model, lime_explanation, label):
    lime_weights = dict(lime_explanation.local_exp[label])
    weights = dict(zip(model.indices.tolist(), model.weights.tolist(), strict=True))
    for index in weights.keys() | lime_weights.keys():  # words of no weight at all come in any order
        assert weights.get(index, 0) == pytest.approx(lime_weights.get(index, 0), abs=1e-6)
    assert np.all(np.diff(np.abs(model.weights)) <= 0)
    assert model.intercept == pytest.approx(lime_explanation.intercept[label], abs=1e-6)
    assert model.local_prediction == pytest.approx(lime_explanation.local_pred[0], abs=1e-6)
    if model.weights.any():  # where no word matters, lime's score is a quotient of rounding errors
        assert model.score == pytest.approx(lime_explanation.score, abs=1e-6)


@pytest.mark.parametrize("words", [4, 10, 50])
@pytest.mark.parametrize("pooling", ["flatten", "mean", "sum"])
@pytest.mark.parametrize("document", DOCUMENTS)
def test_equals_lime_on_the_masks_of_lime(document, pooling, words):
    text = DOCUMENTS[document]
    tokens = text.split()
    predict = classifier(pooling)
    distinct = list(dict.fromkeys(tokens))
    for label in (0, 3):
        lime_explanation, seen = run_lime(text, predict, label, words)
        ids = masked_ids(
            ids_of(tokens), np.array([distinct.index(t) for t in tokens], dtype=np.int32), seen["masks"], MAX_LEN
        )
        np.testing.assert_array_equal(predict(ids), seen["probabilities"])
        [model] = fit_linear_models(seen["masks"], seen["probabilities"][:, [label]], words)
        assert_same(model, lime_explanation, label)


@pytest.mark.parametrize("pooling", ["flatten", "mean", "sum"])
@pytest.mark.parametrize("document", DOCUMENTS)
def test_lime_on_our_masks_equals_explain(document, pooling, monkeypatch):
    text = DOCUMENTS[document]
    tokens = text.split()
    predict = classifier(pooling)
    labels = [2, 1]
    result = explain(
        tokens, ids_of(tokens), predict, labels, max_len=MAX_LEN, samples=SAMPLES, words=8, rng=np.random.default_rng(3)
    )
    masks = sample_masks(len(set(tokens)), SAMPLES, np.random.default_rng(3))
    assert result.words == list(dict.fromkeys(tokens))
    for label, model in zip(labels, result.models, strict=True):
        explainer = LimeTextExplainer(split_expression=r"\s+", feature_selection="highest_weights")
        removed = iter([np.flatnonzero(~mask) for mask in masks[1:]])
        source = explainer.random_state
        monkeypatch.setattr(explainer, "random_state", _Replay(removed, source))
        lime_explanation = explainer.explain_instance(
            text,
            lambda texts: predict(np.array([retokenized(t.split()) for t in texts], dtype=np.int32)),
            labels=[label],
            num_features=8,
            num_samples=SAMPLES,
        )
        np.testing.assert_allclose(result.probabilities, lime_explanation.predict_proba, atol=1e-7)
        assert_same(model, lime_explanation, label)


class _Replay:
    """Stands in for lime's random state, and gives it the words to remove, one sample after the other."""

    def __init__(self, removed, source):
        self.removed = removed
        self.source = source

    def randint(self, low, high, size):
        return self.source.randint(low, high, size)

    def choice(self, *_, **__):
        return next(self.removed)


def test_empty_document():
    result = explain(
        [], ids_of([]), classifier("mean"), [0, 1], max_len=MAX_LEN, samples=50, words=5, rng=np.random.default_rng(0)
    )
    assert result.words == []
    for label, model in enumerate(result.models):
        assert len(model.indices) == len(model.weights) == 0
        assert model.intercept == model.local_prediction == result.probabilities[label]
        assert model.score == 1


def test_words_that_change_nothing_have_no_weight():
    masks = sample_masks(6, 200, np.random.default_rng(0))
    [model] = fit_linear_models(masks, np.full((200, 1), 0.1, np.float32), 3)
    assert not model.weights.any()
    assert model.score == 1
    assert model.intercept == np.float32(0.1)


@given(
    tokens=st.lists(st.sampled_from([f"w{number}" for number in (1, 2, 3, 4, 5, 6, 7, 8, 97, 98, 99)]), max_size=30),
    max_len=st.integers(1, 20),
    samples=st.sampled_from([1, 2, 37, 511, 512, 513]),
    seed=st.integers(0, 9),
)
def test_masked_ids_equal_tokenizing_the_shortened_text(tokens, max_len, samples, seed):
    distinct = list(dict.fromkeys(tokens))
    masks = sample_masks(len(distinct), samples, np.random.default_rng(seed))
    words = np.array([distinct.index(token) for token in tokens], dtype=np.int32)
    ids = masked_ids(ids_of(tokens), words, masks, max_len)
    expected = [
        retokenized([t for t, word in zip(tokens, words, strict=True) if mask[word]], max_len) for mask in masks
    ]
    assert ids.dtype == np.int32
    assert ids.shape == (samples, max_len)
    np.testing.assert_array_equal(ids, expected)


def test_masks_remove_a_uniform_number_of_uniform_words():
    masks = sample_masks(20, 40_001, np.random.default_rng(0))
    assert masks.dtype == np.bool_
    assert masks[0].all()
    removed = (~masks[1:]).sum(axis=1)
    counts = np.bincount(removed, minlength=21)
    assert counts[0] == 0
    assert np.all(np.abs(counts[1:] - 2000) < 5 * np.sqrt(2000))
    alone = np.bincount((~masks[1:])[removed == 1].argmax(axis=1), minlength=20)
    assert np.all(np.abs(alone - 100) < 50)
    assert np.all(np.abs(masks[1:].mean(axis=0) - 9.5 / 20) < 0.02)


@pytest.mark.parametrize("words", [0, 1])
def test_masks_of_few_words(words):
    masks = sample_masks(words, 5, np.random.default_rng(0))
    assert masks.tolist() == [[True] * words] + [[False] * words] * 4


@pytest.mark.parametrize(("pooling", "shared"), [("flatten", 3), ("mean", 4), ("sum", 4)])
def test_another_seed_and_more_samples_keep_the_top_words(pooling, shared):
    tokens = [f"w{number}" for number in range(1, 41)]

    def top(samples, seed):
        rng = np.random.default_rng(seed)
        predict = classifier(pooling, max_len=50)
        [model] = explain(tokens, ids_of(tokens), predict, [0], max_len=50, samples=samples, words=10, rng=rng).models
        return dict(zip(model.indices.tolist(), model.weights.tolist(), strict=True))

    reference = top(50_000, seed=0)
    largest = max(map(abs, reference.values()))
    for seed in range(1, 6):
        weights = top(5000, seed)
        assert len(set(list(reference)[:5]) & set(list(weights)[:5])) >= shared
        for word in reference.keys() & weights.keys():
            assert abs(weights[word] - reference[word]) < 0.1 * largest


def test_same_generator_same_explanation():
    tokens = DOCUMENTS["repeated"].split()

    def weights():
        rng = np.random.default_rng([0, 5])
        return explain(
            tokens, ids_of(tokens), classifier("sum"), [1], max_len=MAX_LEN, samples=300, words=10, rng=rng
        ).models[0]

    assert weights().weights.tolist() == weights().weights.tolist()


@pytest.mark.parametrize("pooling", ["flatten", "mean"])
def test_documents_together_are_explained_as_each_alone(pooling):
    model = classifier(pooling)
    texts = [*(text.split() for text in DOCUMENTS.values()), []]
    settings = {"max_len": MAX_LEN, "samples": 200, "words": 5}

    def given(number):
        tokens = texts[number]
        return tokens, ids_of(tokens), [0, 1], np.random.default_rng([7, number])

    together = explain_together([given(number) for number in range(len(texts))], model, **settings)
    for number, one in enumerate(together):
        tokens, ids, labels, rng = given(number)
        alone = explain(tokens, ids, model, labels, rng=rng, **settings)
        assert one.words == alone.words
        np.testing.assert_allclose(one.probabilities, alone.probabilities, rtol=1e-5)
        for ours, theirs in zip(one.models, alone.models, strict=True):
            assert ours.score == pytest.approx(theirs.score, abs=1e-5)
            weights = [dict(zip(each.indices.tolist(), each.weights.tolist(), strict=True)) for each in (ours, theirs)]
            assert weights[0] == pytest.approx(weights[1], abs=1e-6)


def test_a_long_document_counts_up_to_its_thousandth_token():
    tokens = [f"w{number % 70}" for number in range(50_000)] + ["last"]
    result = explain(
        tokens,
        ids_of(tokens),
        classifier("mean"),
        [1],
        max_len=MAX_LEN,
        samples=100,
        words=5,
        rng=np.random.default_rng(0),
    )
    assert result.words == list(dict.fromkeys(tokens[:MAX_TOKENS]))


def test_does_not_import_scikit_learn_or_jax():
    modules = "flaxtext.explain.explanation, flaxtext.explain.pages"
    unused = {"sklearn", "jax", "lime", "threadpoolctl", "jinja2", "pandas"}
    code = f"import sys, {modules}; print({unused} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "set()"


def test_explains_the_same_without_threadpoolctl(monkeypatch):
    tokens = DOCUMENTS["repeated"].split()
    settings = {"max_len": MAX_LEN, "samples": 300, "words": 10}

    def weights():
        [model] = explain(
            tokens, ids_of(tokens), classifier("sum"), [1], rng=np.random.default_rng(0), **settings
        ).models
        return model.weights.tolist()

    expected = weights()
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    explanation._blas.cache_clear()
    try:
        assert explanation._blas() is None
        with one_blas_thread():
            assert weights() == pytest.approx(expected, abs=1e-9)
    finally:
        explanation._blas.cache_clear()


@pytest.fixture(scope="module")
def stage():
    spec = importlib.util.spec_from_file_location("explain_stage", PROJECT / "stages" / "explain.py")
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(PROJECT / "stages")
        spec.loader.exec_module(module)
    return module


def predictions_of(labels, predicted, confidences):
    """Predictions of the classes a and b, whose probabilities need not fit what is predicted."""
    probabilities = np.array([[c, 1 - c] for c in confidences], np.float32)
    labels, predicted = (np.array(["ab".index(name) for name in names], np.int32) for names in (labels, predicted))
    answers = replace(Answers.of(probabilities, labels), predicted=predicted)
    return Predictions(**vars(answers), classes=["a", "b"], rows=np.arange(len(labels)), labels=labels)


def test_chooses_rows_and_confident_mistakes():
    predictions = predictions_of(list("aaaab"), list("bbabb"), [0.9, 0.7, 1.0, 0.1, 0.6])
    assert choose_documents([4, 4, 1], 5, predictions) == {4: "chosen", 1: "chosen", 0: "mistake", 3: "mistake"}
    assert choose_documents([4], 2, predictions) == {4: "chosen", 0: "mistake", 3: "mistake"}
    assert choose_documents([0], 1, predictions) == {0: "chosen", 3: "mistake"}
    assert choose_documents([], 0, predictions) == {}
    with pytest.raises(UserError) as error:
        choose_documents([4, 5], 0, predictions)
    assert str(error.value) == "params.yaml: explain.rows: 5 is beyond the test split's 5 rows (0 to 4)"


def test_makes_the_choice_of_the_tutorial():
    same = ["a"] * 7600
    assert choose_documents(None, 5, predictions_of(same, same, [0.5] * 7600)) == {2864: "chosen"}
    assert choose_documents(None, 5, predictions_of(["a"], ["a"], [0.5])) == {0: "chosen"}


def write_corpus(path, texts, rows=7):
    """A split of one class, in row groups of seven documents."""
    with open_corpus(path, classes=["no", "yes", "<b>", "x"], source="tests") as writer:
        for start in range(0, len(texts), rows):
            part = pa.array(texts[start : start + rows], pa.string())
            labels = pa.DictionaryArray.from_arrays(pa.array([0] * len(part), pa.int32()), pa.array(["no"]))
            writer.write_table(pa.Table.from_arrays([part, labels], schema=writer.schema))


def test_reads_the_texts_of_some_rows(tmp_path):
    texts = [f"text {row}" for row in range(100)]
    (tmp_path / "test").mkdir()
    for part in range(2):
        write_corpus(tmp_path / "test" / f"{part}.parquet", texts[part * 50 : part * 50 + 50])
    expected = {row: texts[row] for row in (0, 6, 7, 49, 50, 99)}
    assert Corpus(tmp_path / "test").take(set(expected)) == expected


class StubClassifier:
    classes = ("no", "yes", "<b>", "x")
    architecture = Architecture(len(VOCABULARY) + 1, 4, MAX_LEN, pooling="padded_sum", embed_dim=6)
    vocabulary = Vocabulary(pa.array(list(VOCABULARY)), np.ones(len(VOCABULARY), np.int64))

    def probabilities(self, ids, backend):
        assert backend == "jax"
        return classifier("sum")(ids)

    def tokenize(self, texts):
        return [text.lower().split() for text in texts]

    def token_ids(self, tokens):
        return ids_of(tokens)


def test_stage_writes_json_and_page(stage, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(PROJECT)
    monkeypatch.setattr(stage, "read_bundle", lambda _: StubClassifier())
    settings = Explain(rows=[1], mistakes=1, samples=200, words=3, seed=5)
    monkeypatch.setattr(stage.Explain, "read", lambda _: settings)
    texts = ["W5 w6 w7", "w8 w8 w9 zzz w10", "", "w1"]
    write_corpus(tmp_path / "test.parquet", texts)
    probabilities = np.array(
        [classifier("sum")(np.array([retokenized(t.lower().split())], np.int32))[0] for t in texts]
    )
    predicted = [StubClassifier.classes[i] for i in probabilities.argmax(axis=1)]
    labels = [predicted[0], predicted[1], next(c for c in StubClassifier.classes if c != predicted[2]), predicted[3]]
    numbers = np.tile(np.array([StubClassifier.classes.index(label) for label in labels], np.int32), 2)
    write_predictions(
        tmp_path / "predictions.parquet",
        classes=list(StubClassifier.classes),
        splits=np.array(["train"] * 4 + ["test"] * 4, object),
        rows=np.tile(np.arange(4), 2),
        labels=numbers,
        answers=Answers.of(np.tile(probabilities, (2, 1)), numbers),
    )
    arguments = ["explain.py", "tiny"]
    for name, file in (("model", "m"), ("test", "test.parquet"), ("predictions", "predictions.parquet")):
        arguments += [f"--{name}", str(tmp_path / file)]

    def run(name):
        outputs = {"json": "json", "html": "html", "importance": "parquet", "metrics": "metrics.json"}
        paths = {option: tmp_path / f"{name}.{end}" for option, end in outputs.items()}
        given = [word for option, path in paths.items() for word in (f"--{option}", str(path))]
        monkeypatch.setattr(sys, "argv", arguments + given)
        stage.main()
        return [path.read_bytes() for path in paths.values()]

    first = run("first")
    assert first == run("second")
    chosen, mistake = json.loads(first[0])
    assert (chosen["row"], chosen["reason"], chosen["text"]) == (1, "chosen", texts[1])
    assert (mistake["row"], mistake["reason"], mistake["text"]) == (2, "mistake", "")
    assert chosen["true"] == chosen["predicted"]
    assert [e["class"] for e in chosen["explanations"]] == [predicted[1]]
    assert [e["class"] for e in mistake["explanations"]] == [predicted[2], labels[2]]
    assert len(chosen["explanations"][0]["words"]) == 3
    assert set(chosen["explanations"][0]) == {"class", "intercept", "score", "local_prediction", "words"}
    assert mistake["explanations"][0]["words"] == []
    assert b"Row 2 of the test split" in first[1]
    assert "row  true" in capsys.readouterr().out
    important = read_importance(tmp_path / "first.parquet")
    assert dict(zip(important.words, important.documents.tolist(), strict=True)) == dict.fromkeys(
        ["w5", "w6", "w7", "w8", "w9", "w10", "w1"], 1
    )
    assert json.loads(first[3])["documents"] == 3  # all except for the one without words
