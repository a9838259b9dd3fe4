"""Python and the page's JavaScript against the same JSON, tests/fixtures/."""

import json
from itertools import product

import numpy as np
import pyarrow as pa
import pytest
import runs
from javascript import in_javascript
from shared_fixtures import CASES, architecture_of, compute, expand, parameters_of, read_fixture, token_ids, with_marks
from tiny_models import untrained

from flaxtext.model.poolings import POOLINGS
from flaxtext.report import portable
from flaxtext.text.tokenizers import tokenize
from flaxtext.text.words import TOKENIZERS, pieces, rules

AGAIN = "; run python tests/shared_fixtures.py, and have portable.js compute it, too"

NETWORK = """({ sizes, firsts, parameters, rows }) => {
  const matrix = (rows) => ({ columns: rows[0].length, row: (i) => rows[i] });
  const layers = ["hidden", "output"].filter((name) => parameters[`${name}.kernel`]).map((name) =>
    ({ kernel: matrix(parameters[`${name}.kernel`]), bias: parameters[`${name}.bias`] }));
  const idf = parameters["embedding.idf"], table = parameters["embedding.embedding"];
  const embedding = matrix(idf ? table.map((row, i) => row.map((value) => idf[i] * value)) : table);
  const weigh = idf ? portable.weigher(matrix(idf.map((value) => [value])), ...firsts) : undefined;
  const bias = layers.length ? null : parameters["output.bias"];
  return rows.map(portable.classifier([portable.network({ pooling: sizes.pooling, embedding, layers, bias })], weigh));
}"""


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
        assert with_marks(case["text"], name) == case["with_marks"]
        assert [token for token in case["with_marks"] if isinstance(token, str)] == case["words"]
        assert [word for _, word in case["pieces"] if word] == case["words"]


PIECES = """({ rules, texts }) => {
  const { pieces } = portable.tokenizer(rules);
  return texts.map((text) => pieces(text).map(({ text: piece, word }) => [piece, word]));
}"""
READ = "({ rules, texts }) => texts.map(portable.tokenizer(rules).read)"


@pytest.mark.parametrize("name", TOKENIZERS)
def test_javascript_finds_the_words(name):
    fixture = read_fixture("tokenizer.json")[name]
    texts = [case["text"] for case in fixture["cases"]]
    found = in_javascript(PIECES, {"rules": fixture["rules"], "texts": texts})
    assert found == [case["pieces"] for case in fixture["cases"]]
    found = in_javascript(READ, {"rules": fixture["rules"], "texts": texts})
    assert found == [case["with_marks"] for case in fixture["cases"]]
    assert any(token == -(4 * ord("%") + 1) for tokens in found for token in tokens)


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
    readings = [case["reading"] for case in fixture["cases"]]
    for reading, case in zip(readings, fixture["cases"], strict=True):
        assert expand(reading, fixture["words"], fixture["documents"]) == case["rows"]
    assert {reading["ngrams"] for reading in readings} == {1, 2, 3}
    assert all(reading["ngram_keys"] for reading in readings if reading["ngrams"] > 1)
    assert any(reading["marks"] and reading["characters"] and not reading["drops_unknown"] for reading in readings)


def test_javascript_lays_out_the_features():
    fixture = read_fixture("features.json")
    code = """({ words, documents, cases }) => cases.map(({ reading }) =>
      documents.map(portable.features(reading, words).expand))"""
    assert in_javascript(code, fixture) == [case["rows"] for case in fixture["cases"]]


@pytest.mark.parametrize("drops_unknown", [False, True])
def test_both_know_which_words_can_matter(drops_unknown):
    tokenizer = "keras" if drops_unknown else "unicode"
    words, document = ["a", "b"], [-5, "b", -5, -6, "zz", "a", "a", -5, "b", "zzz", "b", -7, "a"]
    for own in ({}, {"characters": 2}, {"prefix": 1}, {"marks": True, "characters": 1}):
        model = untrained([" ".join(words)], max_len=4, flax=False, pooling="mean", embed_dim=2, **own)
        model.vocabulary.tokenizer = tokenizer
        [read] = [portable.Portable.of(model, 0.1).encoded]
        value = {
            "reading": {**read, "ngram_keys": [], "character_keys": [], "vector_ids": []},
            "words": words,
            "document": document,
        }
        code = """({ reading, words, document }) => {
          const { cut, reads } = portable.features(reading, words);
          return Array.from(new Set(cut(document).filter((token) => typeof token === "string" && reads(token))));
        }"""
        document = document if own.get("marks") else [token for token in document if isinstance(token, str)]
        ids = token_ids([document], words, marks=True)
        reached = [word for word, is_reached in zip(document, model.reach(ids), strict=True) if is_reached]
        assert in_javascript(code, value) == list(dict.fromkeys(reached))
        assert reached == (["b", "a", "a", "b"] if drops_unknown else ["b", *["zz"] * bool(own), "a", "a"])
        cut = [token for token in model.cut(ids).ids.tolist() if token < 0]
        code = "({ reading, words, document }) => portable.features(reading, words).cut(document)"
        found = [token for token in in_javascript(code, value) if not isinstance(token, str)]
        assert found == (cut if own.get("marks") else [])


def test_every_pooling_has_its_fixture():
    assert read_fixture("poolings.json").keys() == POOLINGS.keys(), "poolings.json" + AGAIN
    assert in_javascript("() => Object.keys(portable.POOLINGS)", None) == list(portable.COMPUTED)
    assert set(portable.COMPUTED) == POOLINGS.keys()


@pytest.mark.parametrize("backend", ["numpy", "jax"])
@pytest.mark.parametrize("name", POOLINGS)
def test_python_computes_the_models(name, backend):
    for case in read_fixture("poolings.json").get(name, []):
        found = compute(architecture_of(case), parameters_of(case), case["rows"], backend)
        np.testing.assert_allclose(found, case["probabilities"], atol=2e-6)
        assert np.ptp(case["probabilities"], axis=0).max() > 0.2  # the model has opinions


@pytest.mark.parametrize("name", POOLINGS)
def test_javascript_computes_the_models(name):
    cases = read_fixture("poolings.json").get(name, [])
    found = in_javascript(f"(cases) => cases.map({NETWORK})", cases)
    for answers, case in zip(found, cases, strict=True):
        np.testing.assert_allclose(answers, case["probabilities"], atol=2e-6)


def test_javascript_answers_as_packed_models_do():
    for name, model in runs.many().models.items():
        lighter = portable.lighten(model, len(model.vocabulary) - 2, 4)
        packed = portable.portable(lighter, lighter.read(pa.array(runs.TEXTS)))
        texts = [*runs.TEXTS, "bone unknowable purr purring", "bone purr " * 30]
        found = portable.expand(packed.model, packed.model.read(pa.array(texts)))
        value = {
            "packed": packed.encoded,
            "words": packed.model.vocabulary.words.to_pylist(),
            "documents": packed.model.tokenize(texts),
        }
        code = """async ({ packed, words, documents }) => {
          const { predict } = await portable.load(packed, words);
          return documents.map(predict);
        }"""
        np.testing.assert_allclose(in_javascript(code, value), packed.probabilities(found), atol=1e-5, err_msg=name)


def test_javascript_leaves_words_out_as_python_does():
    text = "purr unknownish, purr bone strangest tail"
    for name in ("subwords", "prefixes", "words"):
        model = runs.many().models[name]
        packed = portable.portable(model, model.read(pa.array(runs.TEXTS)))
        value = {
            "packed": packed.encoded,
            "words": model.vocabulary.words.to_pylist(),
            "document": text.replace(",", "").split(),
        }
        code = """async ({ packed, words, document }) => {
          const { predicted, weights } = portable.leaveOneOut(await portable.load(packed, words), document);
          return { predicted, weights: Object.fromEntries(weights) };
        }"""
        found = in_javascript(code, value)
        for word, weight in found["weights"].items():
            both = [value["document"], [own for own in value["document"] if own != word]]
            texts = pa.array([" ".join(words) for words in both])
            before, after = packed.probabilities(portable.expand(model, model.read(texts)))[:, found["predicted"]]
            assert weight == pytest.approx(before - after, abs=1e-5)
        assert ("strangest" in found["weights"]) == (name != "words")
