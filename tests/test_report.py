import base64
import dataclasses
import hashlib
import json
import re
import subprocess
import sys
import zlib
from functools import partial
from html.parser import HTMLParser

import numpy as np
import pyarrow as pa
import pytest
import runs
from conftest import PROJECT
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from javascript import in_javascript
from runs import (
    CLASSES,
    EVERY_KIND,
    HOSTILE_CLASSES,
    HOSTILE_TEXTS,
    LABELS,
    TEXTS,
    VARIANTS,
    answers_of,
    make_run,
    only,
    page_of,
    values_of,
)

from flaxtext.artifacts.importance import Importance
from flaxtext.config.data import FileSource
from flaxtext.evaluate.evaluation import calibration_error, worst_confusions
from flaxtext.model.architecture import Architecture
from flaxtext.model.forward import Block, apply
from flaxtext.model.poolings import POOLINGS
from flaxtext.report import box, charts, mistakes, packing, portable
from flaxtext.report.mistakes import list_mistakes, worst_mistakes
from flaxtext.report.packing import to_json
from flaxtext.report.page import render_report
from flaxtext.report.tables import important_words, largest_first, lay_out_figures, list_parameters, side_by_side
from flaxtext.text.features import Features
from flaxtext.text.vocabulary import Vocabulary


@pytest.fixture(scope="module")
def run():
    return runs.plain()


@pytest.fixture(scope="module")
def many():
    return runs.many()


@pytest.fixture(scope="module")
def hostile():
    return runs.hostile()


def inflated(packed):
    return zlib.decompress(base64.b64decode(packed, validate=True))


class Page(HTMLParser):
    """A page as a browser reads it: tags, text, and what stands in scripts."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.texts, self.scripts, self.open = [], [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br", "input", "wbr"):
            self.open.append(tag)
            if tag == "script":
                self.scripts.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts[-1] += data
        elif self.open and self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self):
        return "".join(self.texts)

    @property
    def data(self):
        return json.loads(self.scripts[0])

    def unpacked(self, name):
        return inflated(self.data[name]).decode()

    @property
    def mistakes(self):
        return json.loads(self.unpacked("mistakes"))

    @property
    def charts(self):
        return json.loads(self.unpacked("charts"))


def test_the_page_shows_figures_findings_and_parameters(run):
    page = Page(page_of(runs.plain))
    assert page.open == []
    assert ("html", {"lang": "en"}) in page.tags
    for name in VARIANTS:
        assert f"{run.metrics[name]['test']['loss']:.3f}" in page.text
    for pair in run.comparison["pairs"]:
        assert pair["says"] in page.text
    majority = run.comparison["majority"]
    note = f"not shown to be better than always answering {majority['class']} ({100 * majority['accuracy']:.1f}%)"
    better = [standing["better_than_majority"] for standing in run.comparison["variants"].values()]
    assert page.text.count(note) == better.count(False) > 0
    assert "train.learning_rate" in page.text
    assert list(page.data["models"]) == list(VARIANTS)
    places = [attrs["data-chart"] for _, attrs in page.tags if "data-chart" in attrs]
    assert sorted(places) == sorted(page.charts)
    links = [attrs["href"][1:] for tag, attrs in page.tags if tag == "a"]
    assert set(links) <= {attrs.get("id") for _, attrs in page.tags}


def test_the_same_run_gives_the_same_bytes(run):
    assert render_report(run) == page_of(runs.plain)


def test_the_page_is_self_contained_and_small():
    page = Page(page_of(runs.plain))
    assert len(page_of(runs.plain).encode()) < 5_000_000
    for _, attrs in page.tags:
        assert "src" not in attrs
        assert attrs.get("href", "#").startswith("#")
    assert not re.search(r"https?:|//cdn|@import|url\(", page.text)


def test_the_policy_lets_the_pages_own_scripts_run_alone():
    page = Page(page_of(runs.plain))
    [policy] = [attrs["content"] for _, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-eval" not in policy
    scripts = [*page.scripts[1:], page.unpacked("library")]
    hashes = {base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts}
    assert hashes == set(re.findall(r"'sha256-(.+?)'", policy))


def test_no_text_or_class_breaks_out():
    plain, page = Page(page_of(runs.plain)), Page(page_of(runs.hostile))
    assert page.open == []
    assert {tag for tag, _ in page.tags} <= {tag for tag, _ in plain.tags}
    assert len(page.scripts) == len(plain.scripts) == 3
    assert page.data["classes"] == HOSTILE_CLASSES
    texts = {mistake["text"] for mistake in page.mistakes}
    assert all(any(text.startswith(start) for text in texts) for start in HOSTILE_TEXTS)
    for name in HOSTILE_CLASSES:
        assert name in page.text
    for character in "<>&\u2028\u2029":
        assert character not in page.scripts[0]


@given(st.recursive(st.text() | st.integers(), st.lists))
def test_json_for_a_script_reads_back(value):
    text = to_json(value)
    assert json.loads(text) == value
    assert not set(text) & set("<>&\u2028\u2029")


def test_checks_are_shown_where_there_are_any(run):
    assert "Data checks" not in page_of(runs.plain)
    checks = {"leakage": {"documents": 3, "share": 0.25, "ok": False}, "train": {"a": None}}
    page = Page(render_report(dataclasses.replace(run, checks=checks)))
    assert "Data checks" in page.text
    assert "0.25" in page.text
    assert ("a", {"href": "#data"}) in page.tags


def test_any_figures_become_tables():
    splits = {
        "train": {"documents": 5, "classes": {"a": 3, "b": 2}},
        "test": {"documents": 2, "classes": {"a": 1, "b": 1}},
    }
    assert lay_out_figures(splits) == [
        ("Summary", (["", "documents"], [["train", 5], ["test", 2]])),
        ("Classes", (["", "a", "b"], [["train", 3, 2], ["test", 1, 1]])),
    ]
    assert lay_out_figures({"x_y": {"a": 1, "b": [1, 2]}, "c": 3}) == [
        ("Summary", ([], [["c", 3]])),
        ("X y", ([], [["a", 1]])),
        ("X y: b", ([], [["1", 1], ["2", 2]])),
    ]
    longer = {"one": {"a": 1, "b": 2, "c": 3}, "two": {"a": 4, "b": 5, "c": 6}}
    assert lay_out_figures({"t": longer}) == [("T", (["", "one", "two"], [["a", 1, 4], ["b", 2, 5], ["c", 3, 6]]))]
    assert lay_out_figures({}) == []


def test_parameters_are_flat_and_name_the_source_in_use():
    flat = dict(list_parameters(values_of(train={"epochs": 7})))
    assert flat["train.epochs"] == "7"
    assert flat["variants.sum_20.pooling"] == "sum"
    assert "variants.sum_20.epochs" not in flat
    assert flat["sources.pydocs.packages.JAX"] == "jax"
    assert not [key for key in flat if key.startswith("sources.ag_news")]
    assert flat["data.mirror"] == "null"
    assert flat["build_vocab.fit_on"] == '["train"]'


def test_the_worst_mistakes_of_every_variant_come_first():
    labels = [0, 0, 0, 1]
    one = answers_of(labels, [[0.1, 0.9], [0.4, 0.6], [0.8, 0.2], [0.3, 0.7]], CLASSES)
    two = answers_of(labels, [[0.9, 0.1], [0.2, 0.8], [0.05, 0.95], [0.1, 0.9]], CLASSES)
    assert worst_mistakes({"one": one, "two": two}, 1) == [2, 0]
    assert worst_mistakes({"one": one, "two": two}, 9) == [2, 0, 1]
    assert worst_mistakes({"one": one, "two": two}, 0) == []


def test_the_words_of_a_mistake_carry_what_leaving_them_out_takes(hostile):
    listed = list_mistakes(hostile)
    assert listed
    for document in listed[:6]:
        text = hostile.texts[document["row"]]
        for answer in document["answers"]:
            model = list(hostile.models.values())[answer["variant"]]
            [words] = model.tokenize([text])
            before = model.predict_proba([text])[0, answer["predicted"]]
            assert answer["probability"] == pytest.approx(before, abs=6e-4)
            for word, weight in zip(dict.fromkeys(words), answer["weights"], strict=True):
                shortened = " ".join(other for other in words if other != word)
                expected = before - model.predict_proba([shortened])[0, answer["predicted"]]
                assert weight == pytest.approx(1000 * expected, abs=0.51)


def test_only_words_that_cannot_matter_carry_no_weight():
    test = ["purr zebra", "purr zebra"]  # of both classes: one is a mistake
    variants = {name: EVERY_KIND[name] for name in ("sum_20", "subwords", "prefixes")}
    run = make_run(TEXTS, LABELS, test, [0, 1], CLASSES, variants=variants)
    found = {answer["variant"]: answer["weights"] for document in list_mistakes(run) for answer in document["answers"]}
    known = {number: [weight is not None for weight in weights] for number, weights in found.items()}
    assert known == {0: [True, False], 1: [True, True], 2: [True, True]}


def test_documents_whose_words_take_too_long_are_shown_without_weights(hostile, monkeypatch):
    everything = list_mistakes(hostile)
    lengths = [len(hostile.models["sum_20"].tokenize([hostile.texts[one["row"]]])[0]) for one in everything]
    first = everything[0]["answers"][0]["variant"]
    monkeypatch.setattr(mistakes, "MAX_WORK", 2 * lengths[0] ** 2 + 2 * lengths[0])
    listed = list_mistakes(hostile)
    assert [one["row"] for one in listed] == [one["row"] for one in everything]
    own = [answer["weights"] for one in listed for answer in one["answers"] if answer["variant"] == first]
    assert own[0] == everything[0]["answers"][0]["weights"]
    assert own[-1] is None
    unweighed = sum(answer["weights"] is None for one in listed for answer in one["answers"])
    assert 0 < unweighed < len(own) * len(hostile.models)
    note = "are too long, and so many, that their words are not weighed"
    assert note in mistakes.say_limits(hostile, listed)
    assert note not in mistakes.say_limits(hostile, everything)


def test_words_are_weighed_alike_however_many_documents_at_a_time(hostile, monkeypatch):
    together = list_mistakes(hostile)
    monkeypatch.setattr(mistakes, "BLOCK_PROBABILITIES", 1)
    for one, other in zip(list_mistakes(hostile), together, strict=True):
        for own, same in zip(one["answers"], other["answers"], strict=True):
            np.testing.assert_allclose(own["weights"], same["weights"], atol=1)  # rounded


def test_long_texts_and_many_mistakes_are_cut(hostile, monkeypatch):
    short = values_of(variants=VARIANTS, report={"characters": 10, "mistakes": 2, "words": 5})
    run = dataclasses.replace(hostile, params=short)
    page = Page(render_report(run))
    assert 0 < len(page.mistakes) <= 2 * len(VARIANTS)
    assert all(len(mistake["text"]) == 10 and mistake["more"] > 0 for mistake in page.mistakes)
    assert "5 most frequent of the models’" in page.text
    first = len(to_json(list_mistakes(run)[0]))
    monkeypatch.setattr(mistakes, "MISTAKES_BYTES", first)
    assert len(list_mistakes(run)) == 1


def test_words_and_ngrams_are_cut_to_the_size_of_the_page_then_variants(many, monkeypatch):
    monkeypatch.setattr(box, "FEWEST_WORDS", 2)
    pack = partial(box.pack_models, many.models, list(many.texts.values()), words=9, ngrams=200)
    everything = pack(size=10**7)
    assert list(everything.models) == list(many.models)
    assert everything.left_out == {}
    assert set(everything.agreement.values()) == {1.0}
    size = sum(len(to_json(model.encoded)) for model in everything.models.values())
    fewer = pack(size=size - 2000)
    known = len(fewer.words.split(" "))
    assert 2 <= known < len(everything.words.split(" "))
    assert fewer.models["subwords"].ngrams < everything.models["subwords"].ngrams
    assert len(fewer.models["sum_20"].members[0].embedding.matrix) == known + 1
    none = pack(size=10_000)
    assert {"flatten_10", "flatten_20"} <= set(none.left_out)
    assert "too large" in none.left_out["flatten_20"]
    assert none.models


def test_the_page_says_what_the_box_does_not_know(many):
    page = Page(
        render_report(
            dataclasses.replace(many, params=values_of(variants=EVERY_KIND, report={"words": 5, "ngrams": 1}))
        )
    )
    text = " ".join(page.text.split())
    words, ngrams = len(many.models["linear"].vocabulary), len(many.models["linear"].features.ngrams)
    assert f"it knows the 5 most frequent of the models’ {words} words" in text
    assert (
        f"Of the {ngrams} runs of words or letters (n-grams) that linear has learned, it knows the 1 weightiest" in text
    )
    assert re.search(r"linear (\d+\.\d)%", text)


def some_texts(model, n, length):
    """Texts of random words of a model, and of some that it does not know."""
    rng = np.random.default_rng(0)
    words = [*model.vocabulary.words.to_pylist(), "purring", "zzz"]
    return pa.array([" ".join(rng.choice(words, rng.integers(0, length))) for _ in range(n)])


def test_a_packed_model_answers_like_its_model(many):
    for name, model in many.models.items():
        documents = model.read(some_texts(model, 200, 80))
        packed = portable.portable(model, documents)
        found = packed.probabilities(portable.expand(model, documents))
        np.testing.assert_allclose(found, model.probabilities(documents), atol=0.012, err_msg=name)


@pytest.mark.parametrize("name", ["linear", "prefixes", "ensemble", "subwords"])
def test_a_model_made_lighter_knows_fewer_words_and_ngrams(many, name):
    model = many.models[name]
    lighter = portable.lighten(model, 3, 2)
    assert portable.lighten(model, 1000, 10_000) is model
    assert lighter.vocabulary.words.equals(model.vocabulary.words[:3])
    assert lighter.vocabulary.tokenizer == model.vocabulary.tokenizer
    assert portable.count_ngrams(lighter.features) == (0 if name == "ensemble" else 2)
    assert {len(own["embedding"]["embedding"]) for own in lighter.members} == {lighter.features.rows}
    assert lighter.architecture.rows == lighter.features.rows < model.features.rows
    documents = lighter.read(some_texts(model, 50, 20))
    found = portable.portable(lighter, documents).probabilities(portable.expand(lighter, documents))
    np.testing.assert_allclose(found, lighter.probabilities(documents), atol=0.012)


@pytest.mark.parametrize("name", ["prefixes", "runs_of_3", "subwords"])
def test_a_lighter_model_answers_as_the_whole_one_where_it_knows_all(many, name):
    model = many.models[name]
    lighter = portable.lighten(model, len(model.vocabulary) - 1, 10_000)
    [last] = model.vocabulary.words[-1:].to_pylist()
    texts = [text for text in many.texts.values() if last not in text]
    assert len(texts) > len(many.texts) / 2
    np.testing.assert_array_equal(lighter.predict_proba(texts), model.predict_proba(texts))


def test_fewer_ngrams_are_the_weightiest(many):
    model = many.models["subwords"]
    lighter = portable.lighten(model, 1000, 5)
    first, parameters = model.features.first_ngram, model.members[0]["embedding"]
    idf, table = parameters["idf"][first:], parameters["embedding"][first:]
    weight = np.exp(-idf) * idf * np.abs(table).max(axis=1)
    both = [
        np.isin(getattr(model.features, kind), getattr(lighter.features, kind)) for kind in ("ngrams", "characters")
    ]
    assert np.concatenate(both)[np.argsort(-weight, kind="stable")[:5]].all()
    assert portable.count_ngrams(lighter.features) == 5


def test_what_has_no_idf_adds_nothing_after_rounding(many):
    model = many.models["subwords"]
    parameters = model.members[0]
    embedding = {**parameters["embedding"], "idf": parameters["embedding"]["idf"].copy()}
    embedding["idf"][1] = 0
    found = portable.RoundedNetwork.of({**parameters, "embedding": embedding}, "tfidf", embedding["idf"], 0.1)
    assert not found.embedding.matrix[1].any()
    assert np.isfinite(found.parameters(embedding["idf"])["embedding"]["embedding"]).all()


def test_many_classes_take_words_and_ngrams_from_the_box(many, monkeypatch):
    pack = partial(box.pack_models, words=9, ngrams=10_000, size=10**7)
    models, texts = {"subwords": many.models["subwords"]}, list(many.texts.values())
    monkeypatch.setattr(box, "FEWEST_WORDS", 2)
    monkeypatch.setattr(box, "MAX_VALUES", 2 * (2 + 5))  # of two classes: two words, and what is left for n-grams
    few = pack(models, texts)
    assert len(few.words.split(" ")) == 7
    assert few.models["subwords"].ngrams == 0
    monkeypatch.setattr(box, "MAX_VALUES", 2)
    assert pack(models, texts).left_out == {"subwords": "it is too large for this page"}


def test_models_with_further_words_and_vectors_share_the_box(many):
    model = many.models["subwords"]
    extra = pa.array(["furr", "woof"])
    words = pa.concat_arrays([model.vocabulary.words, extra])
    known, vectors = len(model.vocabulary), np.array([1, 3, len(words) - 1, len(words)], np.int32)
    features = Features(
        words,
        dataclasses.replace(model.architecture.reading, vectors=True),
        model.features.ngrams,
        model.features.characters,
        vectors,
        n_known=known,
    )
    rng = np.random.default_rng(0)
    embedding = model.members[0]["embedding"]
    embedding = {
        "embedding": np.concatenate([embedding["embedding"], rng.normal(size=(4, 2)).astype(np.float32)]),
        "idf": np.append(embedding["idf"], np.float32([0.1, 0.2, 0.9, 0.8])),
    }
    other = type(model)(
        model.info,
        dataclasses.replace(model.architecture, rows=features.rows, vectors=True),
        [{**model.members[0], "embedding": embedding}],
        Vocabulary(words, np.append(model.vocabulary.counts, [0, 0])),
        features,
    )
    texts = [*many.texts.values(), "furr woof", "purr furr"]
    both = {"subwords": model, "with_vectors": other}
    found = box.pack_models(both, texts, words=100, ngrams=1000, size=10**7)
    assert found.left_out == {}
    assert found.words.split(" ") == model.vocabulary.words.to_pylist()
    lighter = found.models["with_vectors"].model
    assert lighter.features.vectors.tolist() == [1, 3]
    assert lighter.predict_proba(["purr tail bone"]) == pytest.approx(other.predict_proba(["purr tail bone"]), abs=1e-6)
    alone = box.pack_models({"with_vectors": other}, texts, words=100, ngrams=1000, size=10**7)
    assert alone.agreement == {"with_vectors": 1.0}
    packed = alone.models["with_vectors"]
    value = {
        "packed": packed.encoded,
        "words": alone.words.split(" "),
        "documents": other.tokenize(texts),
    }
    code = """async ({ packed, words, documents }) => {
      const { predict } = await portable.load(packed, words);
      return documents.map(predict);
    }"""
    expected = packed.probabilities(portable.expand(packed.model, packed.model.read(pa.array(texts))))
    np.testing.assert_allclose(in_javascript(code, value), expected, atol=1e-5)


def test_long_documents_are_tried_in_part(many, monkeypatch):
    models, texts = {"linear": many.models["linear"]}, list(many.texts.values())
    pack = partial(box.pack_models, models, texts, words=9, ngrams=10, size=10**7)
    assert pack().tried == len(texts)
    monkeypatch.setattr(box, "TRIED_CHARACTERS", len(texts[0]) + len(texts[1]))
    assert pack().tried == 2
    monkeypatch.setattr(box, "TRIED_CHARACTERS", 1)
    assert pack().tried == 1


@pytest.mark.parametrize("change", ["unknown pooling", "other arithmetic", "vocabulary"])
def test_a_model_that_the_page_cannot_compute_is_left_out(run, change, monkeypatch):
    model = run.models["average_20"]
    other = object.__new__(type(model))
    other.__dict__.update(model.__dict__)
    if change == "unknown pooling":
        monkeypatch.setitem(POOLINGS, "of a later version", POOLINGS["padded_mean"])
        other.architecture = dataclasses.replace(model.architecture, pooling="of a later version")
    elif change == "other arithmetic":
        rounded = portable.RoundedNetwork.of

        def wrong(parameters, pooling, idf, fraction):
            found = rounded(parameters, pooling, idf, fraction)
            if pooling == "padded_mean":
                bias = found.layers["output"].bias
                found.layers["output"] = found.layers["output"]._replace(bias=bias - 5 * np.arange(len(bias)))
            return found

        monkeypatch.setattr(portable.RoundedNetwork, "of", wrong)
    else:
        words = type(model.vocabulary)(model.vocabulary.words.take(pa.array([1, 0])), model.vocabulary.counts[:2])
        other.vocabulary = words
    page = Page(render_report(dataclasses.replace(run, models={**run.models, "average_20": other})))
    assert list(page.data["models"]) == ["flatten_10", "flatten_20", "sum_20"]
    assert [attrs for _, attrs in page.tags if attrs.get("data-left-out") == "average_20"]
    assert "average_20 is left out: " in page.text


def network_of(table, kernel):
    return {"embedding": {"embedding": table}, "output": {"kernel": kernel, "bias": np.zeros(2, np.float32)}}


@pytest.mark.parametrize(("pooling", "halves"), [("mean_max", 2), ("mean", 1), ("flatten", 4)])
def test_balanced_dimensions_count_alike_and_leave_the_logits(pooling, halves):
    rng = np.random.default_rng(0)
    table = rng.normal(size=(20, 3)).astype(np.float32) * np.float32([1, 30, 0.1])
    kernel = rng.normal(size=(3 * halves, 2)).astype(np.float32) * np.tile(np.float32([[6], [0.1], [0]]), (halves, 1))
    scaled, against = portable.balance_dimensions(table, kernel)
    ids = rng.integers(1, 20, (5, 4)).astype(np.int32)
    architecture = Architecture(rows=20, classes=2, max_len=4, pooling=pooling, embed_dim=3)
    before, after = (
        apply(architecture, network_of(rows, weights), Block(ids))
        for rows, weights in ((table, kernel), (scaled, against))
    )
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-5)
    influence = np.linalg.norm(against.reshape(halves, 3, 2), axis=(0, 2))
    np.testing.assert_allclose(influence, [1, 1, 0], rtol=1e-5)
    assert (scaled.dtype, against.dtype) == (np.float32, np.float32)


def unpack(packed, kind):
    planes = np.frombuffer(inflated(packed), np.uint8)
    return planes.reshape(4, -1).T.copy().view(kind).reshape(-1)


@given(hnp.arrays(np.int32, st.integers(0, 9), elements=st.integers(-(2**30), 2**30)))
def test_packed_numbers_read_back(values):
    np.testing.assert_array_equal(unpack(packing.pack_numbers(values.astype("f4")), "<f4"), values.astype("f4"))
    folded = unpack(packing.pack_integers(values), "<u4").astype(np.int64)
    np.testing.assert_array_equal(np.where(folded % 2, -(folded + 1) // 2, folded // 2), values)


@given(st.text())
def test_packed_texts_read_back(text):
    assert inflated(packing.pack_text(text)).decode() == text


@given(st.integers(1, 5), st.integers(1, 4), st.floats(1e-3, 0.5), st.integers(0, 9))
def test_rounding_is_half_a_step_at_most(rows, columns, fraction, seed):
    matrix = np.random.default_rng(seed).normal(size=(rows, columns)).astype(np.float32)
    table = portable.RoundedTable.of(matrix, fraction)
    assert table.matrix.shape == matrix.shape
    assert table.matrix.dtype == np.float32
    np.testing.assert_array_equal(table.matrix[0], matrix[0])  # padding
    assert np.all(np.abs(table.matrix - matrix) <= 0.501 * fraction * matrix.std())


def test_zeros_and_empty_tables_are_exact():
    for rows in (1, 3):
        table = portable.RoundedTable.of(np.zeros((rows, 2), np.float32), 0.1)
        assert table.matrix.shape == (rows, 2)
        assert not table.matrix.any()


def test_explanations_stand_side_by_side():
    def entry(row, weights, true="a", predicted="b"):
        return {
            "row": row,
            "text": f"text {row}",
            "true": {"class": true, "probability": 0.25},
            "predicted": {"class": predicted, "probability": 0.75},
            "explanations": [
                {"class": predicted, "score": 0.1, "words": []},
                {"class": true, "score": 0.5, "words": [{"word": w, "weight": x} for w, x in weights.items()]},
            ],
        }

    found = side_by_side(
        {"v1": [entry(1, {"x": 0.1, "y": -0.2}), entry(7, {})], "v2": [entry(5, {}), entry(1, {"z": 0.3, "x": 0.05})]}
    )
    assert [document["row"] for document in found] == [1, 7, 5]
    assert [side["variant"] for side in found[0]["sides"]] == ["v1", "v2"]
    assert found[0]["words"] == [
        {"word": "z", "weights": [None, 0.3]},
        {"word": "y", "weights": [-0.2, None]},
        {"word": "x", "weights": [0.1, 0.05]},
    ]
    assert found[0]["scale"] == 0.3
    assert found[1]["scale"] == 1


def test_the_words_that_count_in_any_variant_are_named_for_all():
    both = np.array([[0, 1], [0, 1]])
    one = Importance(["x", "y"], np.array([1, 1]), both, np.array([[0.02, -0.02], [0.01, 0.0]]))
    two = Importance(["y", "z"], np.array([1, 1]), both[:, ::-1], np.array([[0.0, -0.01], [0.03, 0.05]]))
    first, second = important_words({"one": one, "two": two}, CLASSES)
    assert [word["word"] for word in first["words"]] == ["z", "x", "y"]
    assert first["words"][0]["weights"] == [None, pytest.approx(5)]
    assert first["words"][2]["weights"] == [pytest.approx(1), pytest.approx(-1)]
    assert first["scale"] == pytest.approx(5)
    assert [word["word"] for word in second["words"]] == ["z", "x", "y"]


@pytest.mark.parametrize("bins", [1, 7, 15])
def test_the_calibration_curve_is_that_of_the_calibration_error(bins):
    rng = np.random.default_rng(0)
    probability = rng.dirichlet(np.ones(3), 500).astype(np.float32)
    confidence, correct = probability.max(axis=1), probability.argmax(axis=1) == rng.integers(0, 3, 500)
    table = charts.calibration_bins(confidence, correct, bins)
    gaps = (table["documents"] * (table["confidence"] - table["accuracy"]).abs()).sum() / 500
    assert gaps == pytest.approx(calibration_error(confidence, correct, bins), abs=1e-4)
    assert table["documents"].sum() == 500


def test_confusion_charts_hold_fractions_of_rows():
    chart = charts.draw_confusion(np.array([[3, 1], [0, 0]]), CLASSES, "v")
    [rows] = chart["datasets"].values()
    assert [row["fraction"] for row in rows] == [0.75, 0.25, 0, 0]
    large = charts.draw_confusion(np.eye(30, dtype=int), [str(number) for number in range(30)], "v")
    assert [len(rows) for rows in large["datasets"].values()] == [30]


def test_many_classes_are_shown_by_their_worst_and_best():
    run = runs.of_many_classes()
    html = page_of(runs.of_many_classes)
    page = Page(html)
    assert page.open == []
    assert len(html.encode()) < 5_000_000
    assert not [name for name in page.charts if name.startswith("confusion")]
    [bars] = page.charts["f1"]["datasets"].values()
    shown = list(dict.fromkeys(row["class"] for row in bars))
    assert len(shown) == 20
    f1 = {name: np.mean([row["value"] for row in bars if row["class"] == name]) for name in shown}
    assert max(f1[name] for name in shown[:10]) <= min(f1[name] for name in shown[10:])
    assert "Of the 60 classes, these are" in page.text

    own = run.predictions["linear"]
    [pair] = worst_confusions(own.predicted, own.labels, 1)
    links = [attrs for tag, attrs in page.tags if tag == "a" and "data-true" in attrs]
    first = next(link for link in links if link["data-variant"] == "1")
    assert (int(first["data-true"]), int(first["data-predicted"])) == (pair.true, pair.predicted)
    listed = [
        document
        for document in page.mistakes
        if document["true"] == pair.true
        and {"variant": 1, "predicted": pair.predicted}.items()
        <= {key: answer[key] for answer in document["answers"] if answer["variant"] == 1 for key in answer}.items()
    ]
    assert first["aria-label"] == f"{len(listed)} of these mistakes"

    options = [attrs["value"] for tag, attrs in page.tags if tag == "option" and attrs["value"]]
    true = sorted({document["true"] for document in page.mistakes})
    predicted = sorted({answer["predicted"] for document in page.mistakes for answer in document["answers"]})
    assert options == ["0", "1", *map(str, true), *map(str, predicted)]
    assert len(important_words(run.importance, run.classes)) == 20
    assert "along its row. Of the 60 classes, these are the 20 to which a word adds most" in page.text


def test_long_tables_and_lists_are_cut():
    assert largest_first({"train": {"classes": {"a": 1, "b": 5}}, "test": {"classes": {"a": 2, "b": 0}}, "x": 1}) == {
        "train": {"classes": {"b": 5, "a": 1}},
        "test": {"classes": {"b": 0, "a": 2}},
        "x": 1,
    }
    splits = {split: {"classes": {f"c{n}": n for n in range(100)}} for split in ("train", "test")}
    _, table = lay_out_figures(splits)[-1]
    assert len(table.rows) == 41
    assert table.rows[19:22] == [["c19", 19, 19], ["… 60 more", None, None], ["c80", 80, 80]]
    values = values_of()
    own = FileSource(train="a.csv", classes=[f"c{n}" for n in range(100)])
    values.sources["pydocs"] = own
    shown = dict(list_parameters(values))["sources.pydocs.classes"]
    assert shown.startswith('["c0", "c1"')
    assert shown.endswith('"c19", … 80 more]')
    values.sources["pydocs"] = own.model_copy(update={"classes": {f"c{n}": "ab"[n % 2] for n in range(100)}})
    flat = list_parameters(values)
    assert ("sources.pydocs.classes.c19", "b") in flat
    assert flat.index(("sources.pydocs.classes", "… 80 more")) == flat.index(("sources.pydocs.classes.c19", "b")) + 1


def test_a_run_without_validation_or_mistakes_or_a_second_variant(run):
    unseen = [epoch._replace(validation_loss=np.nan, validation_accuracy=np.nan) for epoch in run.histories["sum_20"]]
    right = dataclasses.replace(run.predictions["sum_20"], predicted=run.predictions["sum_20"].labels)
    alone = dataclasses.replace(only(run, "sum_20"), histories={"sum_20": unseen}, predictions={"sum_20": right})
    page = Page(render_report(alone))
    assert page.mistakes == []
    assert "validation_accuracy" not in page.charts
    assert "train_loss" in page.charts
    assert "Which differences are real" not in page.text


def test_the_stage_says_what_is_missing(tmp_path):
    folders = [
        f"--{name}={tmp_path}" for name in ("models", "history", "predictions", "explanations", "importance", "metrics")
    ]
    command = [sys.executable, "stages/report.py", *folders, "--test=t.parquet", f"--html={tmp_path}/index.html"]
    ended = subprocess.run(command, cwd=PROJECT, env={"PYTHONPATH": "."}, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.splitlines() == [
        f"error: {tmp_path}/flatten_10.parquet: no such file; run `dvc repro` to make it"
    ]
    assert not (tmp_path / "index.html").exists()
