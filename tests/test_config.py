"""params.yaml: every mistake is one clear line."""

import pytest
from conftest import PROJECT
from ruamel.yaml import YAML

from flaxtext.config import params
from flaxtext.core.errors import UserError


@pytest.fixture
def values():
    return YAML(typ="safe").load(PROJECT / "params.yaml")


def put(values, key, value):
    *parents, last = key.split(".")
    for parent in parents:
        values = values[parent]
    values[last] = value


def test_the_shipped_file_is_right(values):
    loaded = params.check(values)
    assert loaded.source is loaded.sources["pydocs"]
    assert loaded.variants["sum_20"].pooling == "sum"


def test_a_variant_overrides_train(values):
    put(values, "variants.sum_20.epochs", 3)
    loaded = params.check(values)
    assert (loaded.variants["sum_20"].epochs, loaded.variants["average_20"].epochs) == (3, 15)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("train.epocs", 3, "train.epocs: unknown key; did you mean epochs?"),
        (
            "foo",
            3,
            "foo: unknown key; known: data, sources, build_vocab, check, vectorize, train, variants, evaluate, "
            "explain, compare, report",
        ),
        ("explain.word", 5, "explain.word: unknown key; did you mean words?"),
        (
            "explain.faithfulness.rows",
            5,
            "explain.faithfulness.rows: unknown key; known: documents, samples",
        ),
        (
            "explain.faithfulness.samples",
            1,
            "explain.faithfulness.samples: expected greater than or equal to 10, got 1",
        ),
        ("check.max_leakage", 5, "check.max_leakage: expected less than or equal to 1, got 5"),
        ("check.max_leak", 0.1, "check.max_leak: unknown key; did you mean max_leakage?"),
        ("train.epochs", "3", "train.epochs: expected a whole number, got '3'"),
        ("train.epochs", 0, "train.epochs: expected greater than or equal to 1, got 0"),
        ("train.learning_rate", -1.0, "train.learning_rate: expected greater than 0, got -1.0"),
        ("train.validation", 1, "train.validation: expected less than 1, got 1"),
        ("train.shuffle", "yes", "train.shuffle: expected true or false, got 'yes'"),
        (
            "train.optimizer",
            "adm",
            "train.optimizer: expected 'adam', 'adamw', 'adagrad', 'rmsprop' or 'sgd', got 'adm'",
        ),
        ("train", None, "train: expected keys and values, got None"),
        ("variants", {}, "variants: expected at least one, got {}"),
        (
            "variants.sum_20.pooling",
            "avg",
            "variants.sum_20.pooling: expected one of flatten, mean, sum, masked_mean, max, mean_max, attention, "
            "got 'avg'",
        ),
        ("variants.sum_20.model", "svm", "variants.sum_20.model: expected 'network' or 'linear', got 'svm'"),
        (
            "variants.sum_20",
            {"pooling": "max", "embed_dim": 20, "hidden": 0, "init": "log_ratios"},
            "variants.sum_20: init: log_ratios needs hidden: 0 and a pooling that averages: "
            "mean, masked_mean, mean_max",
        ),
        (
            "variants.stems_32.hidden",
            100,
            "variants.stems_32: init: log_ratios needs hidden: 0 and a pooling that averages: "
            "mean, masked_mean, mean_max",
        ),
        (
            "variants.sum_20.pretrained",
            True,
            "variants.sum_20.pretrained: set build_vocab.vectors to a file of word vectors",
        ),
        (
            "build_vocab.vectors",
            "../glove.txt",
            "build_vocab.vectors: expected a file in data/inputs/, where DVC sees it, got '../glove.txt'",
        ),
        ("train.min_steps", -1, "train.min_steps: expected greater than or equal to 0, got -1"),
        ("train.patience", 0, "train.patience: expected greater than or equal to 1, got 0"),
        (
            "variants.linear",
            {"model": "linear", "ngram": 2},
            "variants.linear.ngram: unknown key; did you mean ngrams?",
        ),
        ("variants.sum_20", {"pooling": "sum"}, "variants.sum_20.embed_dim: missing"),
        (
            "variants.sum_20.validation_from",
            "test",
            "variants.sum_20.validation_from: set it under train, for all variants",
        ),
        ("data.source", "agnews", "data.source: 'agnews' is not one of ag_news, pydocs"),
        ("build_vocab.fit_on", ["trian"], "build_vocab.fit_on.0: expected 'train' or 'test', got 'trian'"),
        ("sources.mine", {"train": "a.csv", "tset": "b.csv"}, "sources.mine.tset: unknown key; did you mean text?"),
        ("sources.mine", {"test": "b.csv"}, "sources.mine.train: missing"),
        ("sources.mine", {"train": "a.csv", "text": []}, "sources.mine.text: expected at least one, got []"),
        ("sources.mine", {"train": "a.csv", "label": 2}, "sources.mine: columns go by number only with header: false"),
        (
            "sources.mine",
            {"train": "a.csv", "header": False},
            "sources.mine: with header: false, text and label are column numbers from 1",
        ),
        (
            "sources.mine",
            {"train": "a.csv", "classes": ["one"]},
            "sources.mine: classes needs two names or more, each once",
        ),
        (
            "sources.mine",
            {"train": "a.csv", "classes": {1: "bad", "1": "good"}},
            "sources.mine: classes names a label twice: as a number and as text it is the same",
        ),
        ("sources.pydocs", {"format": "pydocs"}, "sources.pydocs.packages: missing"),
    ],
)
def test_one_mistake_is_one_line(values, key, value, message):
    put(values, key, value)
    with pytest.raises(UserError) as error:
        params.check(values)
    assert str(error.value) == f"params.yaml: {message}"


def test_two_mistakes_are_two_lines(values):
    put(values, "train.epochs", 0)
    put(values, "vectorize.format", "csv")
    with pytest.raises(UserError) as error:
        params.check(values)
    assert sorted(str(error.value).splitlines()) == [
        "params.yaml: train.epochs: expected greater than or equal to 1, got 0",
        "params.yaml: vectorize.format: expected 'parquet' or 'npz', got 'csv'",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train: [1", "params.yaml, line 1: not YAML: expected ',' or ']', but got '<stream end>'"),
        ("", "params.yaml: expected sections such as data and train, found None"),
    ],
)
def test_a_file_that_is_not_parameters(tmp_path, monkeypatch, text, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(UserError) as error:
        params.load()
    assert str(error.value) == message


def test_no_file(tmp_path):
    with pytest.raises(UserError, match=r"params\.yaml: no such file; run from the project's folder$"):
        params.load(tmp_path / "params.yaml")


def test_the_learning_rate_may_be_written_as_dvc_reads_it(tmp_path):
    """1e-3 is a number in YAML 1.2, which DVC reads, and text in YAML 1.1."""
    text = (PROJECT / "params.yaml").read_text(encoding="utf-8")
    (tmp_path / "params.yaml").write_text(text.replace("learning_rate: 0.001", "learning_rate: 1e-3"))
    assert params.load(tmp_path / "params.yaml").train.learning_rate == 0.001


def test_a_file_that_is_not_utf_8_or_lacks_a_section(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_bytes(b"# caf\xe9\n" + (PROJECT / "params.yaml").read_bytes())
    with pytest.raises(UserError, match="not UTF-8"):
        params.load(path)
    path.write_text("tain: {}\nvariants: {one: {pooling: sum, embed_dim: x}}\n", encoding="utf-8")
    with pytest.raises(UserError, match="tain: unknown key; did you mean train"):
        params.load(path)


@pytest.mark.parametrize(
    ("values_of_train", "message"),
    [
        ({"validation": 0}, "needs documents to watch; set validation above 0"),
        ({"validation_from": "test"}, "would choose by the test split; set validation_from: train"),
    ],
)
@pytest.mark.parametrize(("name", "value"), [("patience", 3), ("calibrate", True)])
def test_what_chooses_needs_documents_that_may_be_chosen_by(values, name, value, values_of_train, message):
    put(values, "train", {**values["train"], **values_of_train, name: value})
    with pytest.raises(UserError) as error:
        params.check(values)
    assert str(error.value).splitlines()[0] == f"params.yaml: train: {name} {message}"


def test_a_linear_variant(values):
    put(values, "variants.linear", {"model": "linear", "ngrams": 2})
    variant = params.check(values).variants["linear"]
    assert (variant.model, variant.ngrams, variant.C, variant.validation) == ("linear", 2, 1.0, 0.05)
