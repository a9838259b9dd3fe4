"""Python and the page's JavaScript against the same JSON, tests/fixtures/."""

import json
from itertools import product

import numpy as np
import pyarrow as pa
import pytest
import runs
from javascript import in_javascript
from shared_fixtures import CASES, architecture_of, parameters_of, read_fixture

from flaxtext.model.poolings import POOLINGS
from flaxtext.model.prediction import class_probabilities
from flaxtext.report import portable
from flaxtext.text.features import Features
from flaxtext.text.token_ids import TokenIds
from flaxtext.text.tokenizers import tokenize
from flaxtext.text.words import TOKENIZERS, pieces, rules

MODELS = [*POOLINGS, "linear"]
AGAIN = "; run python tests/shared_fixtures.py, and have portable.js compute it, too"

NETWORK = """({ sizes, parameters, ids }) => {
  const matrix = (rows) => ({ columns: rows[0].length, row: (i) => rows[i] });
  const layers = ["hidden", "output"].slice(sizes.hidden ? 0 : 1).map((name) =>
    ({ kernel: matrix(parameters[`${name}.kernel`]), bias: parameters[`${name}.bias`] }));
  const embedding = matrix(parameters["embedding.embedding"]);
  return ids.map(portable.classifier([portable.network({ pooling: sizes.pooling, embedding, layers })]));
}"""
LINEAR = """({ parameters, ids }) => {
  const column = (values) => ({ columns: 1, row: (i) => [values[i]] }), temperature = parameters["linear.temperature"];
  const idf = parameters["linear.idf"], kernel = parameters["linear.kernel"];
  const weights = { columns: 3, row: (i) => kernel[i].map((weight) => idf[i] * weight / temperature) };
  const bias = parameters["linear.bias"].map((value) => value / temperature);
  return ids.map(portable.classifier([portable.linear({ idf: column(idf), weights, bias })]));
}"""


def cases_of(name):
    return read_fixture("linear.json") if name == "linear" else read_fixture("poolings.json").get(name, [])


def same(found, expected):
    """Whether two JSON values are equal, floats within rounding."""
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(same(found[key], expected[key]) for key in expected)
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(same, found, expected))
    return found == (pytest.approx(expected, abs=2e-6) if isinstance(expected, float) else expected)


@pytest.mark.parametrize("name", CASES)
def test_the_fixtures_are_up_to_date(name):
    assert same(json.loads(json.dumps(CASES[name]())), read_fixture(name)), name + AGAIN


@pytest.mark.parametrize("name", TOKENIZERS)
def test_python_finds_the_words(name):
    fixture = read_fixture("tokenizer.json")[name]
    assert fixture["rules"] == rules(name)
    texts = pa.array([case["text"] for case in fixture["cases"]], pa.string())
    assert tokenize(texts, name).to_pylist() == [case["words"] for case in fixture["cases"]]
    for case in fixture["cases"]:
        assert pieces(case["text"], name) == [tuple(piece) for piece in case["pieces"]]
        assert [word for _, word in case["pieces"] if word] == case["words"]


PIECES = """({ rules, texts }) => {
  const { pieces } = portable.tokenizer(rules);
  return texts.map((text) => pieces(text).map(({ text: piece, word }) => [piece, word]));
}"""


@pytest.mark.parametrize("name", TOKENIZERS)
def test_javascript_finds_the_words(name):
    fixture = read_fixture("tokenizer.json")[name]
    texts = [case["text"] for case in fixture["cases"]]
    found = in_javascript(PIECES, {"rules": fixture["rules"], "texts": texts})
    assert found == [case["pieces"] for case in fixture["cases"]]


def test_javascript_finds_the_words_of_nasty_texts():
    """Every sequence of up to three of the characters whose neighbours count, beside a letter."""
    nasty = [
        "\u0301",
        "\u4e2d",
        "\U0001f600",
        "\u00a9",
        "\U0001f3fd",
        "\U0001f1e9",
        "\U000e0067",
        "\u200d",
        "\ufe0f",
        "\u20e3",
    ]
    nasty += ["\u1039", "\u00ad", " ", "#", "\u0130"]
    texts = ["1" + "".join(some) + "Z" for length in (1, 2, 3) for some in product(nasty, repeat=length)]
    expected = [[list(piece) for piece in pieces(text, "unicode")] for text in texts]
    assert in_javascript(PIECES, {"rules": rules("unicode"), "texts": texts}) == expected
    words = tokenize(pa.array(texts), "unicode").to_pylist()
    assert words == [[word for _, word in cut if word] for cut in expected]


def test_python_lays_out_the_features():
    fixture = read_fixture("features.json")
    for case in fixture["cases"]:
        reads = case["reads"]
        keys = np.array(reads["keys"], np.uint32)
        words = pa.array(fixture["words"], pa.string())
        features = Features(words, prefix=reads["prefix"], ngrams=reads["ngrams"], keys=keys)
        offsets = np.cumsum([0, *map(len, case["ids"])])
        ids = TokenIds(np.concatenate(case["ids"]).astype(np.int32), offsets).cut(reads["max_len"])
        assert features.expand(ids).tolist() == case["rows"]
    assert {case["reads"]["ngrams"] for case in fixture["cases"]} == {1, 2, 3}
    assert any(case["reads"]["keys"] for case in fixture["cases"])


def test_javascript_lays_out_the_features():
    fixture = read_fixture("features.json")
    code = """({ words, cases }) => cases.map(({ reads, ids }) => ids.map(portable.features(reads, words)))"""
    assert in_javascript(code, fixture) == [case["rows"] for case in fixture["cases"]]


def test_every_pooling_has_its_fixture():
    assert read_fixture("poolings.json").keys() == POOLINGS.keys(), "poolings.json" + AGAIN
    assert in_javascript("() => Object.keys(portable.POOLINGS)", None) == list(portable.COMPUTED)
    assert set(portable.COMPUTED) == POOLINGS.keys()


@pytest.mark.parametrize("backend", ["numpy", "jax"])
@pytest.mark.parametrize("name", MODELS)
def test_python_computes_the_models(name, backend):
    for case in cases_of(name):
        ids = np.array(case["ids"], np.int32)
        found = class_probabilities(architecture_of(case), parameters_of(case), ids, backend)
        np.testing.assert_allclose(found, case["probabilities"], atol=2e-6)
        assert np.ptp(case["probabilities"], axis=0).max() > 0.2  # the model has opinions


@pytest.mark.parametrize("name", MODELS)
def test_javascript_computes_the_models(name):
    code = LINEAR if name == "linear" else NETWORK
    found = in_javascript(f"(cases) => cases.map({code})", cases_of(name))
    for answers, case in zip(found, cases_of(name), strict=True):
        np.testing.assert_allclose(answers, case["probabilities"], atol=2e-6)


def test_javascript_answers_as_packed_models_do():
    models = runs.many().models
    lists = tokenize(pa.array(runs.TEXTS, pa.string()), "unicode")
    for name, model in models.items():
        ids = TokenIds(model.vocabulary.ids(lists.values), lists.offsets.to_numpy()).cut(model.architecture.max_len)
        packed = portable.portable(portable.with_fewer_ngrams(model, 4), len(model.vocabulary), ids)
        value = {
            "packed": packed.encoded,
            "words": model.vocabulary.words.to_pylist(),
            "documents": [[id_ for id_ in row if id_] for row in ids.tolist()],
        }
        code = "async ({ packed, words, documents }) => documents.map(await portable.load(packed, words))"
        found = in_javascript(code, value)
        np.testing.assert_allclose(found, packed.probabilities(ids), atol=1e-5, err_msg=name)
