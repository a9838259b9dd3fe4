import importlib.util
import json
import subprocess
import sys
from dataclasses import asdict, replace
from functools import partial

import numpy as np
import pyarrow as pa
import pytest
from conftest import PROJECT
from hypothesis import given
from hypothesis import strategies as st
from lime.lime_text import LimeTextExplainer

from flaxtext.artifacts.bundle import write_bundle
from flaxtext.artifacts.corpus import Corpus, open_corpus
from flaxtext.artifacts.importance import read_importance
from flaxtext.artifacts.predictions import Answers, Predictions, write_predictions
from flaxtext.config.explain import Explain
from flaxtext.core.errors import UserError
from flaxtext.explain import explanation
from flaxtext.explain.documents import choose_documents
from flaxtext.explain.explanation import (
    MAX_DISTINCT,
    MAX_WORK,
    MIN_SAMPLES,
    draw,
    explain,
    fit_linear_models,
    in_blocks,
    one_blas_thread,
    read_documents,
    readable_documents,
    sample_masks,
)
from flaxtext.model.architecture import Architecture, unflatten_parameters
from flaxtext.model.classifier import Classifier, ModelInfo
from flaxtext.model.poolings import POOLINGS
from flaxtext.model.shortening import Shortened, answer_shortened
from flaxtext.text.features import Reading, fit_features
from flaxtext.text.token_ids import number_words
from flaxtext.text.vocabulary import Vocabulary

MAX_LEN = 12
SAMPLES = 1500
WORDS = [f"w{number}" for number in range(1, 60)]  # words from w60 on are unknown
DOCUMENTS = {
    "distinct": " ".join(f"w{number}" for number in range(1, 16)),
    "repeated": "w3 w7 w3 w9 w11 w3 w7 w40 w41 w42 w43 w44 w3 w20 w21",
    "unknown": "w99 w5 w98 w6 w99 w8 w97 w30 w31 w32 w33 w96 w34",
    "short": "w5 w6 w5 w7",
    "one word": "w5",
    "one word twice": "w5 w5",
    "one unknown word": "w99",
}


def classifier(pooling, tokenizer="unicode", *, max_len=MAX_LEN, classes=("no", "yes", "<b>", "x")):
    """A network with arbitrary parameters; some words matter, most do not."""
    words = Vocabulary(pa.array(WORDS), np.ones(len(WORDS), np.int64), tokenizer)
    reading = Reading(ngrams=2, characters=3) if POOLINGS[pooling].weighs else Reading()
    pairs = pa.array([" ".join(np.random.default_rng(seed).permutation(WORDS)) for seed in range(30)])
    features = fit_features(words.words, number_words(pairs, words), reading)
    architecture = Architecture(
        features.rows, len(classes), pooling, embed_dim=6, hidden=16, max_len=max_len, **asdict(reading)
    )
    rng = np.random.default_rng(7)
    parameters = {name: rng.normal(size=shape) for name, shape in architecture.shapes.items()}
    parameters["embedding.embedding"][0] *= 0.1
    parameters["embedding.embedding"][1:60] *= 6 / np.arange(1, 60)[:, None]
    if "embedding.idf" in parameters:
        parameters["embedding.idf"] = np.abs(parameters["embedding.idf"])
    else:
        parameters["hidden.kernel"] /= 4
    parameters["output.kernel"] /= 4
    named = {name: np.float32(array) for name, array in parameters.items()}
    return Classifier(ModelInfo(list(classes)), architecture, [unflatten_parameters(named)], words, features)


MODELS = {
    "flatten": ("flatten", "unicode"),
    "mean": ("padded_mean", "unicode"),
    "sum": ("padded_sum", "keras"),
    "words alone": ("mean", "unicode"),
    "weighted": ("tfidf", "unicode"),
    "weighted, keras": ("tfidf", "keras"),
}


def explained(model, text, labels, *, row=0, **settings):
    [document] = read_documents(model, {row: text})
    return explain(document, partial(answer_shortened, model), labels, **settings)


def run_lime(text, model, label, words, seed=0):
    """Explain with the lime package; returns its explanation and what it saw: masks, probabilities."""
    seen = {}

    def classify(texts):
        distinct = list(dict.fromkeys(text.split()))
        kept = [set(shortened.split()) for shortened in texts]
        seen["masks"] = np.array([[word in words for word in distinct] for words in kept])
        seen["probabilities"] = model.predict_proba(texts)
        return seen["probabilities"]

    # feature_selection is what "auto" comes to for more than six words
    explainer = LimeTextExplainer(random_state=seed, split_expression=r"\s+", feature_selection="highest_weights")
    explanation = explainer.explain_instance(text, classify, labels=[label], num_features=words, num_samples=SAMPLES)
    return explanation, seen


def assert_same(model, lime_explanation, label):
    lime_weights = dict(lime_explanation.local_exp[label])
    weights = dict(zip(model.indices.tolist(), model.weights.tolist(), strict=True))
    # Probabilities differ in their last digits, by which words of equal weight may change places.
    smallest = min(map(abs, weights.values()), default=0)
    for index in weights.keys() | lime_weights.keys():
        if index in weights and index in lime_weights:
            assert weights[index] == pytest.approx(lime_weights[index], abs=1e-5)
        else:
            assert abs(weights.get(index, lime_weights.get(index))) == pytest.approx(smallest, abs=1e-5)
    assert np.all(np.diff(np.abs(model.weights)) <= 0)
    assert model.intercept == pytest.approx(lime_explanation.intercept[label], abs=1e-5)
    assert model.local_prediction == pytest.approx(lime_explanation.local_pred[0], abs=1e-5)
    if (
        np.abs(model.weights).max(initial=0) > 1e-3
    ):  # where no word matters, lime's score is a quotient of rounding errors
        assert model.score == pytest.approx(lime_explanation.score, abs=1e-4)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("text", DOCUMENTS)
def test_equals_lime_on_the_masks_of_lime(text, name):
    text = DOCUMENTS[text]
    model = classifier(*MODELS[name])
    [document] = read_documents(model, {0: text})
    distinct = list(dict.fromkeys(text.split()))
    columns = np.array([distinct.index(token) for token in text.split()], np.int32)
    for label, words in ((0, 4), (3, 10)):
        lime_explanation, seen = run_lime(text, model, label, words)
        [answers] = answer_shortened(model, [Shortened(document.ids, columns, seen["masks"])])
        np.testing.assert_allclose(answers, seen["probabilities"], atol=1e-6)
        [linear] = fit_linear_models(seen["masks"], answers[:, [label]], words)
        assert_same(linear, lime_explanation, label)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("text", ["repeated", "unknown", "one word", "one unknown word"])
def test_lime_on_our_masks_equals_explain(text, name, monkeypatch):
    text = DOCUMENTS[text]
    model = classifier(*MODELS[name])
    labels = [2, 1]
    result = explained(model, text, labels, samples=SAMPLES, words=8, rng=np.random.default_rng(3))
    masks = sample_masks(len(set(text.split())), SAMPLES, np.random.default_rng(3))
    assert result.words == list(dict.fromkeys(text.split()))
    for label, linear in zip(labels, result.models, strict=True):
        explainer = LimeTextExplainer(split_expression=r"\s+", feature_selection="highest_weights")
        removed = iter([np.flatnonzero(~mask) for mask in masks[1:]])
        monkeypatch.setattr(explainer, "random_state", _Replay(removed, explainer.random_state))
        lime_explanation = explainer.explain_instance(
            text, model.predict_proba, labels=[label], num_features=8, num_samples=SAMPLES
        )
        np.testing.assert_allclose(result.probabilities, lime_explanation.predict_proba, atol=1e-6)
        assert_same(linear, lime_explanation, label)


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
    result = explained(classifier("mean"), "", [0, 1], samples=50, words=5, rng=np.random.default_rng(0))
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


@pytest.mark.parametrize(("pooling", "shared"), [("flatten", 3), ("padded_mean", 4), ("sum", 4), ("tfidf", 4)])
def test_another_seed_and_more_samples_keep_the_top_words(pooling, shared):
    model = classifier(pooling, max_len=50)
    text = " ".join(f"w{number}" for number in range(1, 41))

    def top(samples, seed):
        rng = np.random.default_rng(seed)
        [linear] = explained(model, text, [0], samples=samples, words=10, rng=rng).models
        return dict(zip(linear.indices.tolist(), linear.weights.tolist(), strict=True))

    reference = top(30_000, seed=0)
    largest = max(map(abs, reference.values()))
    for seed in range(1, 5):
        weights = top(5000, seed)
        assert len(set(list(reference)[:5]) & set(list(weights)[:5])) >= shared
        for word in reference.keys() & weights.keys():
            assert abs(weights[word] - reference[word]) < 0.1 * largest


def test_same_generator_same_explanation():
    def weights():
        settings = {"samples": 300, "words": 10, "rng": np.random.default_rng([0, 5])}
        return explained(classifier("tfidf"), DOCUMENTS["repeated"], [1], **settings).models[0]

    assert weights().weights.tolist() == weights().weights.tolist()


def test_marks_always_stay():
    model = classifier("mean")
    model.architecture = replace(model.architecture, marks=True)
    [document] = read_documents(model, {7: "w1, (w2) w1"})
    assert (document.row, document.tokens) == (7, ["w1", "w2", "w1"])
    distinct, shortened = draw(document, 50, np.random.default_rng(0))
    assert distinct == ["w1", "w2"]
    assert shortened.columns.tolist() == [0, -1, -1, 1, -1, 0]
    assert shortened.kept.shape == (50, 2)


def test_of_a_long_document_the_first_words_are_weighed_by_fewer_samples():
    model = classifier("mean")
    [document] = read_documents(model, {0: " ".join(f"x{number % 1500}" for number in range(20_000))})
    distinct, shortened = draw(document, 5000, np.random.default_rng(0))
    assert distinct == [f"x{number}" for number in range(MAX_DISTINCT)]
    assert shortened.columns[:1500].tolist() == [*range(1000), *[-1] * 500]
    assert shortened.kept.shape == (MAX_WORK // 20_000, 1000)
    assert len(draw(document, 100, np.random.default_rng(0))[1].kept) == 100
    [document] = read_documents(model, {0: "w1 " * (MAX_WORK // 100)})
    assert draw(document, 5000, np.random.default_rng(0))[1].kept.shape == (MIN_SAMPLES, 1)


@pytest.mark.parametrize("pooling", ["mean", "tfidf"])
def test_a_long_document_is_explained_as_its_shortened_forms_are_answered(pooling, monkeypatch):
    """By whatever way, pairs looked up in advance or not, in one part or in many."""
    model = classifier(pooling, max_len=None)
    rng = np.random.default_rng(0)
    text = " ".join(f"w{number}" for number in rng.integers(1, 70, 3000))
    [document] = read_documents(model, {0: text})
    _, shortened = draw(document, 40, rng)
    expected = model.probabilities(model.cut(shortened.forms()))
    for pairs, values in ((2**24, 2**23), (0, 2**23), (2**24, 2**11)):
        monkeypatch.setattr("flaxtext.model.shortening.MAX_PAIRS", pairs)
        monkeypatch.setattr("flaxtext.model.shortening.BLOCK_VALUES", values)
        np.testing.assert_allclose(answer_shortened(model, [shortened])[0], expected, atol=1e-5)


def test_bulk_takes_the_first_documents_that_are_allowed_and_keeps_their_order(monkeypatch):
    model = classifier("mean")
    texts = {5: "w1 w2 w3", 2: "w4 w5 w6 w7", 9: "x1 x2", 1: "w9"}

    def rows(work):
        monkeypatch.setattr(explanation, "MAX_BULK_WORK", work)
        documents, reached = readable_documents(model, texts, 100)
        assert [len(reach) for reach in reached] == [len(one.tokens) for one in documents]
        return [one.row for one in documents]

    assert rows(10_000) == [1, 2, 5]  # 9 has no word that can matter
    assert rows(900) == [2, 5]
    assert rows(799) == [2, 5]
    assert rows(600) == [5]
    assert rows(1) == [5]


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 900)), max_size=9))
def test_documents_are_asked_about_in_blocks(sizes):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(explanation, "BLOCK_WORDS", 20_000)
        parts = [sizes[part] for part in in_blocks(sizes)]
    assert [size for part in parts for size in part] == sizes
    work = [sum(forms * max(words, 256) for forms, words in part) for part in parts]
    assert all(total <= 20_000 or len(part) == 1 for total, part in zip(work, parts, strict=True))


def test_does_not_import_scikit_learn_or_jax():
    modules = "flaxtext.explain.explanation, flaxtext.explain.pages"
    unused = {"sklearn", "jax", "lime", "threadpoolctl", "jinja2", "pandas"}
    code = f"import sys, {modules}; print({unused} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "set()"


def test_explains_the_same_without_threadpoolctl(monkeypatch):
    model = classifier("sum")

    def weights():
        settings = {"samples": 300, "words": 10, "rng": np.random.default_rng(0)}
        return explained(model, DOCUMENTS["repeated"], [1], **settings).models[0].weights.tolist()

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


def test_stage_writes_json_and_page(stage, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(PROJECT)
    model = classifier("padded_sum", "keras")
    write_bundle(tmp_path / "m", model)
    settings = Explain(rows=[1], mistakes=1, samples=200, words=3, seed=5)
    monkeypatch.setattr(stage.Explain, "read", lambda _: settings)
    texts = ["W5 w6 w7", "w8 w8 w9 zzz w10", "", "w1"]
    write_corpus(tmp_path / "test.parquet", texts)
    probabilities = model.predict_proba(texts)
    predicted = [model.classes[i] for i in probabilities.argmax(axis=1)]
    labels = [predicted[0], predicted[1], next(c for c in model.classes if c != predicted[2]), predicted[3]]
    numbers = np.tile(np.array([model.classes.index(label) for label in labels], np.int32), 2)
    write_predictions(
        tmp_path / "predictions.parquet",
        classes=model.classes,
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
