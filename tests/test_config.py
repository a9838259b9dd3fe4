"""params.yaml: every mistake is one clear line."""

from datetime import date

import pytest
from conftest import PROJECT
from ruamel.yaml import YAML

from flaxtext.config import variant_names
from flaxtext.config.check import Check
from flaxtext.config.data import read_source
from flaxtext.config.params import SECTIONS, check_params, read_params
from flaxtext.config.train import LinearVariant, NetworkVariant, Train, read_variant
from flaxtext.config.vectorize import Vectorize
from flaxtext.core.errors import UserError

NOT_TEXT = "to YAML, not text; put it in quotes, as it stands in the file, such as"
NO_COLUMN = "expected a column, by its name or, with header: false, by its number from 1, got"
QUOTES = "put a name in quotes"
DELIMITER = r'expected one character of ASCII in quotes, such as ";" or "\t", got'


@pytest.fixture
def values():
    return YAML(typ="safe").load(PROJECT / "params.yaml")


def put(values, key, value):
    *parents, last = key.split(".")
    for parent in parents:
        values = values[parent]
    values[last] = value


def test_the_shipped_file_is_right(values):
    loaded = check_params(values)
    assert loaded.source is loaded.sources["pydocs"]
    assert loaded.variants["sum_20"].pooling == "sum"
    assert {name: own.max_len for name, own in loaded.variants.items()} == {
        "flatten_10": 50,
        "flatten_20": 50,
        "average_20": None,
        "sum_20": None,
        "linear": None,
        "subwords": None,
    }


def test_a_variant_overrides_train(values):
    put(values, "variants.sum_20.epochs", 3)
    loaded = check_params(values)
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
        ("vectorize.validation", 1, "vectorize.validation: expected less than 1, got 1"),
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
            "variants.sum_20.pooling: expected one of flatten, padded_mean, padded_sum, mean, sum, max, mean_max, "
            "attention, tfidf, got 'avg'",
        ),
        ("variants.sum_20.model", "svm", "variants.sum_20.model: expected 'network' or 'linear', got 'svm'"),
        (
            "variants.sum_20",
            {"pooling": "max", "embed_dim": 20, "hidden": 0, "init": "log_ratios"},
            "variants.sum_20: init: log_ratios needs hidden: 0 and a pooling that averages: "
            "padded_mean, mean, mean_max, tfidf",
        ),
        (
            "variants.sum_20",
            {"pooling": "mean", "embed_dim": 20, "init": "log_ratios"},
            "variants.sum_20: init: log_ratios needs hidden: 0 and a pooling that averages: "
            "padded_mean, mean, mean_max, tfidf",
        ),
        (
            "train.label_smoothing",
            1,
            "train.label_smoothing: expected less than 1, got 1",
        ),
        (
            "variants.subwords.label_smoothing",
            0.1,
            "variants.subwords: label_smoothing is for loss: cross_entropy; set one of them",
        ),
        *(
            (
                "variants.sum_20",
                {"pooling": pooling, "embed_dim": 20},
                f"variants.sum_20: pooling: {pooling} needs max_len, the words that it has room for; 50 for one",
            )
            for pooling in ("flatten", "padded_mean", "padded_sum")
        ),
        *(
            (
                f"variants.flatten_10.{key}",
                value,
                "variants.flatten_10: pooling: flatten reads words alone; leave characters and marks out",
            )
            for key, value in (("characters", 3), ("marks", True))
        ),
        *(
            (
                f"variants.subwords.{key}",
                value,
                "variants.subwords: pooling: tfidf needs optimizer: sgd and word_dropout: 0",
            )
            for key, value in (("optimizer", "adam"), ("word_dropout", 0.1))
        ),
        (
            "variants.sum_20.embed_dim",
            "classes",
            "variants.sum_20: embed_dim: classes needs pooling: tfidf and hidden: 0; give a number",
        ),
        (
            "variants.subwords",
            {"pooling": "tfidf", "embed_dim": "classes", "optimizer": "sgd"},
            "variants.subwords: embed_dim: classes needs pooling: tfidf and hidden: 0; give a number",
        ),
        *(
            (
                key,
                value,
                f"{at}: learning_rate: auto is for pooling: tfidf and loss: squared_hinge; give a number",
            )
            for key, value, at in (
                ("variants.sum_20.learning_rate", "auto", "variants.sum_20"),
                ("variants.subwords.loss", "cross_entropy", "variants.subwords"),
            )
        ),
        ("train.learning_rate", "aut", "train.learning_rate: expected a number or 'auto', got 'aut'"),
        ("train.learning_rate", None, "train.learning_rate: expected a number, got None"),
        ("train.learning_rate", True, "train.learning_rate: expected a number, got True"),
        ("variants.sum_20.learning_rate", 0, "variants.sum_20.learning_rate: expected greater than 0, got 0"),
        (
            "variants.sum_20.embed_dim",
            "class",
            "variants.sum_20.embed_dim: expected a number or 'classes', got 'class'",
        ),
        ("variants.sum_20.embed_dim", 0, "variants.sum_20.embed_dim: expected greater than or equal to 1, got 0"),
        ("variants.sum_20.embed_dim", 2.5, "variants.sum_20.embed_dim: expected a whole number, got 2.5"),
        ("variants.sum_20.characters", 21, "variants.sum_20.characters: expected less than or equal to 20, got 21"),
        ("variants.linear.marks", "yes", "variants.linear.marks: expected true or false, got 'yes'"),
        ("train.max_len", 40_000, "train.max_len: expected less than or equal to 32768, got 40000"),
        ("train.max_len", 0, "train.max_len: expected greater than or equal to 1, got 0"),
        ("train.patience_steps", -1, "train.patience_steps: expected greater than or equal to 0, got -1"),
        (
            "variants.sum_20.loss",
            "hinge",
            "variants.sum_20.loss: expected 'cross_entropy' or 'squared_hinge', got 'hinge'",
        ),
        (
            "variants.sum_20.pretrained",
            True,
            "variants.sum_20.pretrained: set build_vocab.vectors to glove or a file of word vectors",
        ),
        (
            "build_vocab.vectors",
            "../glove.txt",
            "build_vocab.vectors: expected glove, or a file in data/inputs/, where DVC sees it, got '../glove.txt'",
        ),
        ("train.validation", 0.1, "train.validation: unknown key; it is now vectorize.validation, for all variants"),
        (
            "variants.sum_20.validation",
            0.1,
            "variants.sum_20.validation: unknown key; it is now vectorize.validation, for all variants",
        ),
        (
            "vectorize.max_len",
            50,
            "vectorize.max_len: unknown key; it is now train.max_len, which a variant may override",
        ),
        ("variants.sum_20.stem", 5, "variants.sum_20.stem: unknown key; it is now prefix"),
        ("variants.linear.stem", 5, "variants.linear.stem: unknown key; it is now prefix"),
        (
            "variants.sum_20.pooling",
            "masked_mean",
            "variants.sum_20.pooling: masked_mean is now mean, and what was mean and sum padded_mean and padded_sum",
        ),
        ("variants.data", {}, "variants.data: metrics/data.json is another stage's; choose another name"),
        ("variants.Data", {}, "variants.Data: metrics/data.json is another stage's; choose another name"),
        (
            "variants.comparison",
            {},
            "variants.comparison: metrics/comparison.json is another stage's; choose another name",
        ),
        ("variants.con", {}, "variants.con: Windows has no files of that name; choose another"),
        ("variants.LPT1", {}, "variants.LPT1: Windows has no files of that name; choose another"),
        ("variants." + "n" * 101, {}, f"variants.'{'n' * 56}...: a name has at most 100 characters"),
        *(
            (
                f"variants.{name}",
                {},
                f"variants.{name}: a name is made of letters, digits, - and _, and begins with none of the last two",
            )
            for name in ("-x", "_x", "a b", "a/b", "a@b", "caf\u00e9", "")
        ),
        ("variants.sum_20.prefix", 0, "variants.sum_20.prefix: expected greater than or equal to 1, got 0"),
        ("variants.sum_20.prefix", 1001, "variants.sum_20.prefix: expected less than or equal to 1000, got 1001"),
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
            "sources.mine: with header: false, text, label and keep are column numbers from 1",
        ),
        (
            "sources.mine",
            {"train": "a.csv", "classes": ["one"]},
            "sources.mine.classes: classes needs two names or more, each once",
        ),
        *(
            ("sources.mine", {"train": "a.csv", "classes": classes}, f"sources.mine.classes: {message}")
            for classes, message in [
                ({1: "bad", "1": "good"}, "label '1' has two names, 'bad' and 'good'; leave one of them"),
                ({"a": "bad", "a\u200b ": "good"}, "label 'a' has two names, 'bad' and 'good'; leave one of them"),
                (["a", "b", "a "], "classes needs two names or more, each once"),
                ({1: "bad", 2: "bad"}, "classes needs two names or more that differ"),
                ({}, "classes needs two names or more that differ"),
                ([], "classes needs two names or more, each once"),
                ([1, 2], f'1 is a number {NOT_TEXT} "1"'),
                ([True, False], f'true is a truth value {NOT_TEXT} "true"'),
                ({True: "T", False: "F"}, f'true is a truth value {NOT_TEXT} "true"'),
                ({1.0: "a", 2.0: "b"}, f'1.0 is a number {NOT_TEXT} "1.0"'),
                ({None: "a", "b": "b"}, f'null is nothing {NOT_TEXT} "null"'),
                ({date(2026, 1, 2): "a", "b": "b"}, f'2026-01-02 is a date {NOT_TEXT} "2026-01-02"'),
                ({"a": 1, "b": "b"}, f'1 is a number {NOT_TEXT} "1"'),
                ({"a": None, "b": "b"}, f'null is nothing {NOT_TEXT} "null"'),
                (["a", ["b"]], "['b'] is neither a label nor a name of a class; expected text"),
                (["a", " "], "' ' is no name of a class; give it one"),
                ({" ": "a", "b": "b"}, "' ' is no label, but how a row without one looks; remove it"),
                ("a, b", "expected a list of labels, or label: name for each, got 'a, b'"),
                (5, "expected a list of labels, or label: name for each, got 5"),
            ]
        ),
        *(
            ("sources.mine", {"train": "a.csv", **own}, f"sources.mine{message}")
            for own, message in [
                ({"text": True}, f".text.0: {NO_COLUMN} true; {QUOTES}"),
                ({"text": ["a", None]}, f".text.1: {NO_COLUMN} null; {QUOTES}"),
                ({"label": 1.0}, f".label: {NO_COLUMN} 1.0; {QUOTES}"),
                ({"label": date(2026, 1, 2)}, f".label: {NO_COLUMN} 2026-01-02; {QUOTES}"),
                ({"keep": ["row"]}, ": keep: 'row' is a column of flaxtext's own; rename yours to keep it"),
                ({"keep": ["id", "id"]}, ": keep: 'id' stands there twice; remove one"),
                ({"keep": 3}, ": columns go by number only with header: false"),
                ({"delimiter": "||"}, f".delimiter: {DELIMITER} '||'"),
                ({"delimiter": "¦"}, f".delimiter: {DELIMITER} '¦'"),
                ({"delimiter": '"'}, f""".delimiter: {DELIMITER} '"'"""),
                ({"delimiter": 1}, f".delimiter: {DELIMITER} 1"),
                ({"quoting": "all"}, ".quoting: expected 'csv' or 'none', got 'all'"),
                ({"encoding": 8859}, ".encoding: expected text, got 8859; put it in quotes"),
                ({"skip_empty": "yes"}, ".skip_empty: expected true or false, got 'yes'"),
                ({"train": " "}, ".train: expected a path or URL, got ' '"),
                ({"train": 5}, ".train: expected text, got 5; put it in quotes"),
                ({"train": ["a.csv"]}, ".train: expected text, got ['a.csv']"),
                ({"md5": {"train": 12}}, ".md5.train: expected text, got 12; put it in quotes"),
                ({"md5": {"train": 5e31}}, ".md5.train: expected text, got 5e+31; put it in quotes"),
                ({"test": "http://[x"}, ".test: expected a path or URL, got 'http://[x': Invalid IPv6 URL"),
                ({"train": "a\0b"}, r".train: expected a path or URL, got 'a\x00b'"),
            ]
        ),
        ("sources.pydocs", {"format": "pydocs"}, "sources.pydocs.packages: missing"),
    ],
)
def test_one_mistake_is_one_line(values, key, value, message):
    put(values, key, value)
    with pytest.raises(UserError) as error:
        check_params(values)
    assert str(error.value) == f"params.yaml: {message}"


@pytest.mark.parametrize("name", [".", "..", "a.b", "a\n", "a\n.."])
def test_a_name_of_dots_or_lines_is_refused(values, name):
    values["variants"][name] = {"pooling": "max", "embed_dim": 3}
    with pytest.raises(UserError, match="a name is made of letters, digits, - and _, and begins with none of the last"):
        check_params(values)


def test_names_that_differ_by_case_alone_are_refused(values, file):
    put(values, "variants.Sum_20", {"pooling": "max", "embed_dim": 3})
    with pytest.raises(UserError) as error:
        check_params(values)
    assert str(error.value).splitlines() == [
        "params.yaml: variants.sum_20: not every file system tells it from Sum_20; choose another name",
        "params.yaml: variants.Sum_20: not every file system tells it from sum_20; choose another name",
    ]
    path = file()
    with pytest.raises(UserError, match=r"variants\.sum_20: not every file system tells it from Sum_20"):
        read_variant("sum_20", path)
    assert read_variant("linear", path).model == "linear"


@pytest.mark.parametrize("name", ["2024", "null", "1e5", "x-", "COM10", "n" * 100])
def test_names_that_may_be(values, name):
    put(values, f"variants.{name}", {"pooling": "max", "embed_dim": 3})
    assert name in check_params(values).variants


def test_all_options_of_a_source(values):
    own = {
        "train": "a.csv",
        "text": ["title", "meta.body"],
        "keep": "id",
        "delimiter": ";",
        "encoding": "cp1252",
        "quoting": "none",
        "skip_empty": True,
        "classes": {1: "bad", 2: "bad ", " 4": "go\u00adod", "5": "good"},
    }
    put(values, "sources.mine", own)
    source = check_params(values).sources["mine"]
    assert source.class_of == {"1": "bad", "2": "bad", "4": "good", "5": "good"}
    assert (source.keep, source.delimiter, source.encoding, source.quoting) == (["id"], ";", "cp1252", "none")
    assert source.skip_empty
    put(values, "sources.mine", {"train": "a.csv"})
    assert check_params(values).sources["mine"].class_of is None


@pytest.mark.parametrize(
    ("classes", "found"),
    [
        ("[1, 2]", "1 is a number"),
        ("{true: T, false: F}", "true is a truth value"),
        ("{1.0: a, 2.0: b}", "1.0 is a number"),
    ],
)
def test_classes_that_are_no_text_as_they_stand_in_the_file(tmp_path, classes, found):
    text = (PROJECT / "params.yaml").read_text(encoding="utf-8")
    mine = f"sources:\n  mine: {{train: a.csv, classes: {classes}}}\n"
    (tmp_path / "params.yaml").write_text(text.replace("sources:\n", mine), encoding="utf-8")
    with pytest.raises(UserError) as error:
        read_params(tmp_path / "params.yaml")
    spelled = found.partition(" ")[0]
    assert str(error.value) == f'{tmp_path}/params.yaml: sources.mine.classes: {found} {NOT_TEXT} "{spelled}"'


def test_all_mistakes_are_told_at_once(values):
    put(values, "train.validation", 0.1)
    put(values, "vectorize.max_len", 50)
    put(values, "foo", 1)
    put(values, "sources.mine", {"train": "a.csv", "tset": "b.csv"})
    put(values, "explain.faithfulness.samples", 1)
    del values["compare"]
    with pytest.raises(UserError) as error:
        check_params(values)
    assert sorted(line.split(": ")[1] for line in str(error.value).splitlines()) == [
        "compare",
        "explain.faithfulness.samples",
        "foo",
        "sources.mine.tset",
        "train.validation",
        "vectorize.max_len",
    ]
    assert all(line.startswith("params.yaml: ") for line in str(error.value).splitlines())


def test_the_mistakes_of_all_variants_are_told_at_once(values):
    put(values, "variants.sum_20.stem", 5)
    put(values, "variants.flatten_10.pooling", "masked_mean")
    put(values, "variants.linear.C", 0)
    put(values, "variants._x", {"pooling": "max", "embed_dim": 3})
    with pytest.raises(UserError) as error:
        check_params(values)
    assert [line.split(": ")[1] for line in str(error.value).splitlines()] == [
        "variants.flatten_10.pooling",
        "variants.sum_20.stem",
        "variants.linear.C",
        "variants._x",
    ]


def test_what_does_not_fit_between_sections_is_told_at_once(values):
    put(values, "data.source", "agnews")
    put(values, "vectorize.validation", 0)
    put(values, "train", {**values["train"], "patience": None, "calibrate": False})
    put(values, "variants.sum_20.pretrained", True)
    put(values, "variants.sum_20.patience", 2)
    put(values, "variants.subwords.calibrate", True)
    with pytest.raises(UserError) as error:
        check_params(values)
    watch = "patience and calibrate need documents to watch; set vectorize.validation above 0"
    assert str(error.value).splitlines() == [
        "params.yaml: data.source: 'agnews' is not one of ag_news, pydocs",
        "params.yaml: variants.sum_20.pretrained: set build_vocab.vectors to glove or a file of word vectors",
        f"params.yaml: variants.sum_20: {watch}",
        f"params.yaml: variants.subwords: {watch}",
    ]


def test_two_mistakes_are_two_lines(values):
    put(values, "train.epochs", 0)
    put(values, "vectorize.format", "csv")
    with pytest.raises(UserError) as error:
        check_params(values)
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
        read_params()
    assert str(error.value) == message


def test_no_file(tmp_path):
    with pytest.raises(UserError, match=r"params\.yaml: no such file; run from the project's folder$"):
        read_params(tmp_path / "params.yaml")


def test_the_learning_rate_may_be_written_as_dvc_reads_it(tmp_path):
    """1e-3 is a number in YAML 1.2, which DVC reads, and text in YAML 1.1."""
    text = (PROJECT / "params.yaml").read_text(encoding="utf-8")
    (tmp_path / "params.yaml").write_text(text.replace("learning_rate: 0.001", "learning_rate: 1e-3"))
    assert read_params(tmp_path / "params.yaml").train.learning_rate == 0.001


def test_a_file_that_is_not_utf_8_or_lacks_a_section(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_bytes(b"# caf\xe9\n" + (PROJECT / "params.yaml").read_bytes())
    with pytest.raises(UserError, match="not UTF-8"):
        read_params(path)
    path.write_text("tain: {}\nvariants: {one: {pooling: sum, embed_dim: x}}\n", encoding="utf-8")
    with pytest.raises(UserError, match="tain: unknown key; did you mean train"):
        read_params(path)


@pytest.mark.parametrize(("name", "value"), [("patience", 3), ("calibrate", True)])
def test_what_chooses_needs_documents_that_may_be_chosen_by(values, name, value):
    """One line each: in train, the variants that do not heed it, and those that set it themselves."""
    put(values, "train", {**values["train"], "patience": None, "calibrate": False, name: value})
    del values["variants"]["subwords"]  # which sets patience itself
    check_params(values)
    put(values, "vectorize.validation", 0)
    with pytest.raises(UserError) as error:
        check_params(values)
    message = "patience and calibrate need documents to watch; set vectorize.validation above 0"
    assert str(error.value).splitlines() == [f"params.yaml: variants.{name}: {message}" for name in values["variants"]]
    put(values, "train", {**values["train"], "validation_from": "test"})
    with pytest.raises(UserError) as error:
        check_params(values)
    assert str(error.value) == (
        f"params.yaml: train: {name} would choose by the test split; set validation_from: train"
    )


def test_a_linear_variant(values):
    put(values, "variants.linear", {"model": "linear", "ngrams": 2})
    variant = check_params(values).variants["linear"]
    assert isinstance(variant, LinearVariant)
    assert (variant.model, variant.ngrams, variant.C, variant.max_len) == ("linear", 2, 1.0, None)


def test_a_variant_may_read_other_lengths(values):
    put(values, "variants.sum_20.max_len", 10)
    loaded = check_params(values)
    assert (loaded.variants["sum_20"].max_len, loaded.variants["average_20"].max_len) == (10, None)


@pytest.fixture
def file(tmp_path, values):
    def written(**changes):
        for key, value in changes.items():
            put(values, key.replace("__", "."), value)
        YAML().dump(values, tmp_path / "params.yaml")
        return tmp_path / "params.yaml"

    return written


def test_a_stage_reads_its_own_section_alone(file):
    """What is wrong elsewhere, another stage says."""
    path = file(explain__words="many", variants__sum_20__stem=5, sources__mine={"tset": "a.csv"})
    assert Vectorize.read("vectorize", path).validation == 0.05
    assert Train.read("train", path).max_len is None
    assert variant_names(path) == ["flatten_10", "flatten_20", "average_20", "sum_20", "linear", "subwords"]
    data, source = read_source(path)
    assert (data.source, source.packages["JAX"]) == ("pydocs", "jax")
    variant = read_variant("flatten_10", path)
    assert isinstance(variant, NetworkVariant)
    assert (variant.embed_dim, variant.batch_size) == (10, 256)
    with pytest.raises(UserError, match=r"params\.yaml: variants\.sum_20\.stem: unknown key; it is now prefix$"):
        read_variant("sum_20", path)
    with pytest.raises(UserError, match=r"variants: no 'sum_2'; there are flatten_10, flatten_20, average_20, sum_20"):
        read_variant("sum_2", path)


def test_what_a_stage_reads_is_checked(file):
    path = file(check__max_empty=2, data__source="mine", vectorize__max_len=10)
    with pytest.raises(UserError, match=r"params\.yaml: check\.max_empty: expected less than or equal to 1, got 2$"):
        Check.read("check", path)
    with pytest.raises(UserError, match=r"params\.yaml: vectorize\.max_len: unknown key; it is now train\.max_len"):
        Vectorize.read("vectorize", path)
    with pytest.raises(UserError, match=r"params\.yaml: data\.source: 'mine' is not one of ag_news, pydocs$"):
        read_source(path)
    with pytest.raises(UserError, match=r"params\.yaml: chek: missing$"):
        Check.read("chek", path)
    with pytest.raises(UserError, match=r"params\.yaml: variants: expected at least one$"):
        variant_names(file(variants={}))


def test_the_sections_of_the_shipped_file_are_all_that_there_are(values):
    assert list(values) == SECTIONS


def test_limits_go_by_the_name_of_the_check(file):
    section = Check.read("check", file(check__max_empty=0.1, check__max_cut=1.0, check__length=9))
    assert section.limits == {"empty": 0.1, "cut": 1.0}
    message = r"check: max_cut_words needs length, the words beyond which a document counts as cut, such as 50$"
    with pytest.raises(UserError, match=message):
        Check.read("check", file(check__max_cut=None, check__max_cut_words=0.1, check__length=None))
