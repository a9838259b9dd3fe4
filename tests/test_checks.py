"""Every fault that is planted in a corpus is found, and nothing else; a limit that is exceeded stops the stage."""

import csv
import importlib
import json
import random
import sys

import pyarrow as pa
import pytest
from conftest import PROJECT
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from flaxtext.artifacts.corpus import SCHEMA, Corpus, open_corpus
from flaxtext.artifacts.findings import write_findings
from flaxtext.artifacts.vocabulary import write_vocabulary
from flaxtext.check import checks
from flaxtext.check.checks import Share
from flaxtext.check.class_names import merging_line, similar_classes
from flaxtext.config.check import Check
from flaxtext.config.data import FileSource
from flaxtext.core.errors import UserError
from flaxtext.text.tokenizers import tokenize
from flaxtext.text.vocabulary import fit_vocabulary

CLASSES = ["cats", "dogs", "birds"]
SETTINGS = {"similarity": 0.7, "shingle_words": 2}


def write(path, documents, classes=CLASSES, **described):
    """Write (text, class) pairs as download does."""
    texts, labels = zip(*documents, strict=True)
    label = pa.DictionaryArray.from_arrays(pa.array([classes.index(name) for name in labels], pa.int32()), classes)
    with open_corpus(path, classes=classes, source="animals", **described) as writer:
        writer.write_batch(pa.record_batch([pa.array(texts, pa.string()), label], schema=SCHEMA))


def read(folder, train, test, fit_on=None):
    write(folder / "train.parquet", train)
    write(folder / "test.parquet", test)
    words = fit_vocabulary([pa.array(fit_on or [text for text, _ in train], pa.string())])
    return checks.read_documents(Corpus(folder / "train.parquet"), Corpus(folder / "test.parquet"), words)


def changed(text, place=10):
    """Change one word."""
    words = text.split()
    words[place] = "otherwise"
    return " ".join(words)


@pytest.fixture(scope="module")
def splits():
    """600 + 150 random documents of 24 words, and at their ends the faults."""
    rng = random.Random(0)  # noqa: S311
    words = [f"w{number}" for number in range(3000)]
    made = [(" ".join(rng.choices(words, k=24)), CLASSES[i % 3]) for i in range(750)]
    train, test = made[:600], made[600:]
    train += [
        (train[0][0], "cats"),  # 600: word for word
        (train[1][0].upper().replace(" ", ", ") + "!", "dogs"),  # 601: in capitals, with commas
        (changed(train[2][0]), "birds"),  # 602: a word changed
        (train[3][0] + " And then one more sentence.", "cats"),  # 603: a sentence appended
        (train[4][0], "birds"),  # 604: word for word, in another class than dogs
        ("", "cats"),  # 605: empty
        (" ... !!", "dogs"),  # 606: without words
        ("&lt;b&gt; " + made[5][0][::-1], "cats"),  # 607: entities
        (made[6][0][::-1] + "<br/>", "dogs"),  # 608: a tag
    ]
    test += [
        (train[10][0], "dogs"),  # 150: in train, word for word
        (train[11][0].title() + ".", "birds"),  # 151: in train, in capitals
        (changed(train[12][0]), "cats"),  # 152: in train except for a word
        ("Before it stands this. " + train[13][0], "dogs"),  # 153: in train, with a sentence before
        (train[14][0], "cats"),  # 154: in train, in another class than birds
        (test[0][0], "cats"),  # 155: repeats test
        (changed(test[1][0]), "dogs"),  # 156: repeats test except for a word
        (changed(train[12][0]).upper(), "cats"),  # 157: repeats 152, and is as near to train
        ("?", "birds"),  # 158: without words, as 606 is: neither a copy nor a leak
        ("it #39;s " + made[7][0][::-1], "cats"),  # 159: an entity that lost its &
    ]
    return train, test


@pytest.fixture(scope="module")
def documents(splits, tmp_path_factory):
    return read(tmp_path_factory.mktemp("planted"), *splits)


PLANTED = {
    ("leakage", "test", 150, "train", 10),
    ("leakage", "test", 151, "train", 11),
    ("leakage", "test", 154, "train", 14),
    ("near_leakage", "test", 152, "train", 12),
    ("near_leakage", "test", 153, "train", 13),
    ("near_leakage", "test", 157, "train", 12),
    ("duplicates", "train", 600, "train", 0),
    ("duplicates", "train", 601, "train", 1),
    ("duplicates", "train", 604, "train", 4),
    ("duplicates", "test", 155, "test", 0),
    ("duplicates", "test", 157, "test", 152),
    ("near_duplicates", "train", 602, "train", 2),
    ("near_duplicates", "train", 603, "train", 3),
    ("near_duplicates", "test", 156, "test", 1),
    ("label_conflicts", "train", 4, "train", 604),
    ("label_conflicts", "train", 604, "train", 4),
    ("label_conflicts", "train", 14, "test", 154),
    ("label_conflicts", "test", 154, "train", 14),
    ("empty", "train", 605, None, None),
    ("empty", "train", 606, None, None),
    ("empty", "test", 158, None, None),
    ("markup", "train", 607, None, None),
    ("markup", "train", 608, None, None),
    ("markup", "test", 159, None, None),
}


def test_all_that_is_planted_is_found_and_nothing_else(documents):
    listed = checks.tabulate(documents, checks.find(documents, **SETTINGS)).to_pylist()
    found = {(row["check"], row["split"], row["row"], row["other_split"], row["other_row"]) for row in listed}
    assert found == PLANTED
    assert len(listed) == len(PLANTED)


def test_what_the_table_says_of_a_document(documents, splits):
    listed = checks.tabulate(documents, checks.find(documents, **SETTINGS)).to_pylist()
    rows = {(row["check"], row["split"], row["row"]): row for row in listed}
    near = rows["near_leakage", "test", 152]
    assert (near["label"], near["other_label"]) == ("cats", "cats")
    assert near["similarity"] == round(21 / 25, 6)  # of 23 pairs of words each, 21 in common
    assert near["text"] == splits[1][152][0][:200]
    assert near["other_text"] == splits[0][12][0][:200]
    conflict = rows["label_conflicts", "train", 604]
    assert (conflict["label"], conflict["other_label"], conflict["similarity"]) == ("birds", "dogs", 1)
    assert rows["empty", "train", 605]["other_text"] is None
    assert rows["empty", "train", 605]["similarity"] is None
    assert rows["markup", "train", 608]["text"].endswith("<br/>")  # what is around the tag


def test_shares(documents):
    found = checks.shares(documents, checks.find(documents, **SETTINGS, length=24), length=24)
    assert found["train"] == {
        "duplicates": Share(3, 609),
        "near_duplicates": Share(2, 609),
        "label_conflicts": Share(3, 609),
        "empty": Share(2, 609),
        "markup": Share(2, 609),
        "cut": Share(3, 609),  # 603, 607 and 608
        "cut_words": Share(5 + 3 + 1, 605 * 24 + 5 + 24 + 3 + 24 + 1),
        "unknown_words": Share(0, 605 * 24 + 5 + 24 + 3 + 24 + 1),
        "similar_classes": Share(0, 609),
        "rare_classes": Share(0, 3),
        "imbalance": Share(2, 204),  # 204 cats, 203 dogs, 202 birds
    }
    counts = {name: share.count for name, share in found["test"].items()}
    assert [counts[name] for name in ("leakage", "near_leakage", "duplicates", "near_duplicates")] == [3, 3, 2, 1]
    assert [counts[name] for name in ("label_conflicts", "empty", "markup")] == [1, 1, 1]


def test_lengths_and_unknown_words_by_hand(tmp_path):
    train = [("a b c d e f", "cats"), ("a b", "cats"), ("a", "dogs")]
    test = [("x a x b x c", "cats"), ("", "birds")]
    documents = read(tmp_path, train, test)
    found = checks.shares(documents, checks.find(documents, **SETTINGS, length=2), length=2)
    assert found["train"]["cut"] == Share(1, 3)
    assert found["train"]["cut_words"] == Share(4, 9)
    assert found["train"]["rare_classes"] == Share(3, 3)
    assert found["train"]["imbalance"] == Share(2, 2)  # no birds
    assert found["test"]["unknown_words"] == Share(3, 6)
    assert found["test"]["cut"] == Share(1, 2)
    assert found["test"]["cut_words"] == Share(4, 6)  # an unknown word keeps its place
    whole = checks.shares(documents, checks.find(documents, **SETTINGS))
    assert whole["train"]["cut"] == Share(0, 3)
    assert whole["train"]["cut_words"] == Share(0, 9)
    assert checks.figures(documents) == {
        "train": {
            "documents": 3,
            "classes": {"cats": 2, "dogs": 1, "birds": 0},
            "median_words": 2,
            "p95_words": 6,
            "p99_words": 6,
            "max_words": 6,
            "longer_than": dict.fromkeys(["50", "100", "200", "500", "1000", "5000"], 0.0),
        },
        "test": {
            "documents": 2,
            "classes": {"cats": 1, "dogs": 0, "birds": 1},
            "median_words": 0,
            "p95_words": 6,
            "p99_words": 6,
            "max_words": 6,
            "longer_than": dict.fromkeys(["50", "100", "200", "500", "1000", "5000"], 0.0),
        },
    }


CASES = [
    ("<p>one</p>", True),
    ("one<br />two", True),
    ('see <A HREF="http://example.org">it</A>', True),
    ("one &amp; two", True),
    ("&#8217;", True),
    ("&#x2019;", True),
    ("the nation #39;s", True),
    ("a quot;word quot;", True),
    ("AT&T; and so on", True),
    ("5 < 6 and 7 > 6", False),
    ("in <lambda> of <module>", False),
    ("a < b > c", False),
    ("number #1; then #2", False),
    ("R&D, AT&T", False),
    ("lt; is what is left of it", True),
    ("result; amplt;", False),
]


@pytest.mark.parametrize(("text", "expected"), CASES, ids=[text for text, _ in CASES])
def test_markup(tmp_path, text, expected):
    documents = read(tmp_path, [("some words", "cats"), (text, "dogs")], [("others", "birds")])
    assert documents.markup.is_valid().to_pylist() == [False, expected, False]


def test_the_place_of_markup_is_shown_even_far_into_a_text_beyond_ascii(tmp_path):
    text = "ü" * 1000 + " <br> " + "é" * 1000
    documents = read(tmp_path, [("some words", "cats"), (text, "dogs")], [("others", "birds")])
    assert " <br> é" in documents.markup[1].as_py()
    assert len(documents.markup[1].as_py()) <= checks.EXCERPT


def by_definition(train, test, similarity, size):
    """What `find` is to find, by its definition, document by document."""
    documents = [("train", *document) for document in train] + [("test", *document) for document in test]
    words = tokenize(pa.array([text for _, text, _ in documents]), "unicode").to_pylist()
    sets = [{tuple(w[i : i + size]) for i in range(max(len(w) - size + 1, 1))} for w in words]
    found = {
        name: [] for name in ("leakage", "near_leakage", "duplicates", "near_duplicates", "label_conflicts", "empty")
    }

    def near(i, others):
        return any(len(sets[i] & sets[j]) / len(sets[i] | sets[j]) >= similarity for j in others)

    for i, (split, _, label) in enumerate(documents):
        if not words[i]:
            found["empty"].append(i)
            continue
        others = [j for j in range(len(documents)) if j != i and words[j]]
        in_train = [j for j in others if documents[j][0] == "train"]
        earlier = [j for j in others if j < i and documents[j][0] == split]
        if split == "test":
            if any(words[j] == words[i] for j in in_train):
                found["leakage"].append(i)
            elif near(i, in_train):
                found["near_leakage"].append(i)
        if any(words[j] == words[i] for j in earlier):
            found["duplicates"].append(i)
        elif near(i, earlier):
            found["near_duplicates"].append(i)
        if any(words[j] == words[i] and documents[j][2] != label for j in others):
            found["label_conflicts"].append(i)
    return found


SPLIT = st.lists(st.tuples(st.text(alphabet="abcA ,", max_size=10), st.sampled_from(CLASSES)), min_size=1, max_size=12)


@settings(deadline=None)
@given(SPLIT, SPLIT, st.sampled_from([0.4, 0.7, 1.0]), st.integers(1, 3))
def test_any_corpus_is_judged_by_definition(tmp_path_factory, train, test, similarity, size):
    documents = read(tmp_path_factory.mktemp("any"), train, test, fit_on=["a b c"])
    found = checks.find(documents, similarity=similarity, shingle_words=size)
    expected = by_definition(train, test, similarity, size)
    assert {name: found[name].rows.tolist() for name in expected} == expected


def run_script(folder, monkeypatch, splits, described=None, **limits):
    """Run the stage on two splits, with limits, in a folder of its own."""
    monkeypatch.chdir(folder)
    for split, rows in zip(("train", "test"), splits, strict=True):
        write(folder / f"{split}.parquet", rows, **(described or {}))
    write_vocabulary("vocab.parquet", fit_vocabulary([pa.array([text for text, _ in splits[0]])]))
    values = YAML(typ="safe").load(PROJECT / "params.yaml")
    values["check"].update(limits)
    YAML().dump(values, folder / "params.yaml")
    paths = {"train": "train.parquet", "test": "test.parquet", "vocab": "vocab.parquet"}
    paths |= {"metrics": "metrics/data.json", "findings": "checks/findings.csv", "passed": "checks/passed"}
    monkeypatch.setattr(sys, "argv", ["check", *(word for name, path in paths.items() for word in (f"--{name}", path))])
    monkeypatch.syspath_prepend(PROJECT / "stages")
    importlib.import_module("check").main()


def test_the_stage_writes_figures_and_findings_and_says_what_is_wrong(tmp_path, monkeypatch, capsys, splits):
    run_script(tmp_path, monkeypatch, splits)
    figures = json.loads((tmp_path / "metrics/data.json").read_text())
    assert figures["test"]["documents"] == 160
    assert figures["test"]["leakage"] == 0.01875
    assert figures["train"]["markup"] == 0.00328407
    with (tmp_path / "checks/findings.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(PLANTED)
    assert (tmp_path / "checks/passed").is_file()
    printed = capsys.readouterr()
    assert "near duplicates                     2 (0.3%)          1 (0.6%)" in printed.out
    warnings = [line for line in printed.err.splitlines() if line.startswith("warning: ")]
    assert warnings[0] == (
        "warning: 3 of 160 test documents (1.9%) are also in train, word for word: figures on test are flattering; "
        "delete these rows from the test file, or leave sources.animals.test out: the split keeps equal texts together"
    )
    assert warnings[1].endswith(
        "; delete these rows from the test file; nothing, if new documents will repeat old ones as often"
    )
    assert all("; " in warning for warning in warnings)
    assert len(warnings) == 12
    assert printed.err.splitlines()[-1] == "checks/findings.csv lists these documents"
    assert f"  test row 151, birds: {splits[1][151][0][:100]}" in printed.err.splitlines()
    assert f"    100% like train row 11, birds: {splits[0][11][0][:100]}" in printed.err.splitlines()


def test_a_spreadsheet_runs_none_of_the_findings(tmp_path):
    write_findings(tmp_path / "findings.csv", pa.table({"text": ["=1+1", "plain"], "row": [1, 2]}))
    assert (tmp_path / "findings.csv").read_text().splitlines() == ['"text","row"', '"\'=1+1",1', '"plain",2']


def test_two_runs_write_the_same_bytes(tmp_path, monkeypatch, splits):
    written = []
    for _ in range(2):
        run_script(tmp_path, monkeypatch, splits)
        written.append([(tmp_path / name).read_bytes() for name in ("metrics/data.json", "checks/findings.csv")])
    assert written[0] == written[1]


def test_nothing_wrong_is_nothing_said(tmp_path, monkeypatch, capsys):
    rng = random.Random(0)  # noqa: S311
    made = [(" ".join(rng.choices("abcdefghijklmnop", k=20)), CLASSES[i % 3]) for i in range(90)]
    run_script(tmp_path, monkeypatch, (made[:60], made[60:]))
    assert capsys.readouterr().err == ""
    assert (tmp_path / "checks/findings.csv").read_text().count("\n") == 1


def test_a_class_in_one_split_alone_is_named(tmp_path, monkeypatch, capsys):
    run_script(tmp_path, monkeypatch, ([("a b", "cats"), ("c", "dogs"), ("d", "birds")], [("e", "cats")]))
    lines = capsys.readouterr().err.splitlines()
    assert (
        "warning: no test document of class dogs, birds; add documents of it, or take it out of sources.animals.classes"
    ) in lines
    assert (
        "warning: 3 of 3 train classes (100.0%) have fewer than 10 documents, too few to learn them by: cats, dogs, "
        "birds; label more documents of them, or merge them with others under sources.animals.classes"
    ) in lines


def test_documents_longer_than_a_model_reads(tmp_path, monkeypatch, capsys):
    """They are found where `length` says what it reads, and counted in any case."""
    rng = random.Random(0)  # noqa: S311
    made = [(" ".join(rng.choices("abcdefghijklmnop", k=60 if i == 7 else 20)), CLASSES[i % 3]) for i in range(90)]
    run_script(tmp_path, monkeypatch, (made[:60], made[60:]))
    printed = capsys.readouterr()
    assert printed.err == ""
    assert "longer than 50 words                    1.7%              0.0%" in printed.out
    assert "longer than 100 words" not in printed.out
    assert json.loads((tmp_path / "metrics/data.json").read_text())["train"]["longer_than"]["50"] == 0.0166667
    run_script(tmp_path, monkeypatch, (made[:60], made[60:]), length=50)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == (
        "warning: 1 of 60 train documents (1.7%) have more words than check.length; raise check.length, and max_len of "
        "the variants that cut; nothing, if variants.NAME.max_len is null: such a variant reads documents whole"
    )
    assert lines[1].startswith("  train row 7, dogs: ")
    assert lines[2].startswith("warning: 10 of 1,240 train words (0.8%) lie beyond check.length; raise check.length, ")
    assert lines[3:] == ["checks/findings.csv lists these documents"]


def test_an_exceeded_limit_is_one_line_and_leaves_the_figures_to_look_at(tmp_path, monkeypatch, splits):
    run_script(tmp_path, monkeypatch, splits)
    with pytest.raises(UserError) as error:
        run_script(tmp_path, monkeypatch, splits, max_leakage=0.01, max_empty=0.005, max_markup=0.5)
    assert str(error.value).splitlines() == [
        "params.yaml: check.max_leakage: the limit is 0.01, test has 0.01875: 3 of 160 test documents (1.9%) are "
        "also in train, word for word: figures on test are flattering; delete these rows from the test file, or leave "
        "sources.animals.test out: the split keeps equal texts together, or raise the limit",
        "params.yaml: check.max_empty: the limit is 0.005, test has 0.00625: 1 of 160 test documents (0.6%) have no "
        "words: a model can only guess; set sources.animals.skip_empty: true, which leaves out those without text, and "
        "delete the other rows, or raise the limit",
        "checks/findings.csv lists the documents, metrics/data.json has the figures",
    ]
    assert not (tmp_path / "checks/passed").exists()
    assert json.loads((tmp_path / "metrics/data.json").read_text())["test"]["leakage"] == 0.01875


def test_a_limit_that_is_met_exactly_passes(tmp_path, monkeypatch, splits):
    run_script(tmp_path, monkeypatch, splits, max_leakage=0.01875)
    assert (tmp_path / "checks/passed").is_file()


def test_every_check_has_its_limit():
    limits = {name.removeprefix("max_") for name in Check.model_fields if name.startswith("max_")}
    assert limits == set(checks.CHECKS)


def test_ag_news(ag_news, tmp_path):
    """Figures of the real thing, counted once and looked at."""
    splits = []
    for name in ("train", "test"):
        with (ag_news / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            splits.append([(f"{title} {body}", CLASSES[int(label) % 3]) for label, title, body in csv.reader(file)])
    documents = read(tmp_path, *splits)
    found = checks.find(documents, **SETTINGS)
    assert {name: len(finding.rows) for name, finding in found.items()} == {
        "leakage": 0,
        "near_leakage": 451,
        "duplicates": 1,
        "near_duplicates": 2316,
        "label_conflicts": 0,
        "empty": 0,
        "markup": 23334,
        "cut": 0,
    }


def test_names_that_look_alike():
    names = ["Yes", "no", "yes", "YES", "New York", "New\u00a0York", "new  york", "Ｎｏ", "straße", "STRASSE", "a"]
    assert similar_classes([*names, "ﬁ", "FI"]) == [[0, 2, 3], [1, 7], [4, 5, 6], [8, 9], [11, 12]]
    assert similar_classes(["a", "b", "c", "á", "a-b", "ab"]) == []


ODD = ["yes", "no", "null", "1", "01", "1e3", "~", "", "a: b", "- a", "#a", "{", "'", '"', "\\", "a,b", "é"]
ODD += ["a\u00a0b", "\x1b[", "\u2028", "\U000e0041", "New York", "x-y_z 2", "true", "2026-01-02"]
ODD += ["&a", "*a", "!a", "%a", "@a", "a\tb", "9" * 5000]


@pytest.mark.parametrize("name", ["Yes", "a b", "\x9f: "])
def test_the_line_that_merges_classes_is_yaml(name):
    class_of = {own: f"{own}!" for own in ODD} | {name: "small"}
    line = merging_line(class_of, {"small": name})
    assert "\n" not in line
    assert YAML(typ="safe").load(line) == {"classes": class_of | {name: name}}
    assert YAML(typ="safe", pure=True).load(line) == {"classes": class_of | {name: name}}


def test_classes_that_differ_in_case_alone_are_warned_about_with_the_line_that_merges_them(
    tmp_path, monkeypatch, capsys
):
    """And that line, under the source, does it."""
    classes = ["Yes", "maybe", "yes"]
    documents = [(f"word{i}", classes[i % 5 % 3]) for i in range(60)]
    class_of = {"1": "Yes", "2": "yes", "maybe": "maybe"}
    run_script(tmp_path, monkeypatch, (documents, documents[:9]), {"classes": classes, "class_of": class_of})
    printed = capsys.readouterr()
    assert "similar classes                   12 (20.0%)         2 (22.2%)" in printed.out
    lines = printed.err.splitlines()
    differs = "are of a class whose name is a larger one's except for case, spacing or form: are they one?"
    at = next(number for number, line in enumerate(lines) if differs in line)
    fix = "merge the classes under sources.animals.classes; nothing, if they are not one"
    assert lines[at : at + 4] == [
        f"warning: 12 of 60 train documents (20.0%) {differs}; {fix}",
        "  'yes' and 'Yes'; in params.yaml, under the source, this merges them:",
        '  classes: {"1": "Yes", "2": "Yes", maybe: maybe}',
        f"warning: 2 of 9 test documents (22.2%) {differs}; {fix}",
    ]
    assert sum("classes: {" in line for line in lines) == 1
    figures = json.loads((tmp_path / "metrics/data.json").read_text())
    assert (figures["train"]["similar_classes"], figures["test"]["similar_classes"]) == (0.2, 0.222222)
    described = {"classes": classes, "class_of": class_of}
    with pytest.raises(UserError, match=r"check\.max_similar_classes: the limit is 0\.1, .+; merge the classes .+, or"):
        run_script(tmp_path, monkeypatch, (documents, documents[:9]), described, max_similar_classes=0.1)
    pasted = YAML(typ="safe").load(lines[at + 2])["classes"]
    assert FileSource(train="a.csv", classes=pasted).class_of == {"1": "Yes", "2": "Yes", "maybe": "maybe"}


def test_what_commands_a_terminal_is_printed_visibly(tmp_path, monkeypatch, capsys):
    classes = ["a\x1b[31m", "b\u202e"]
    documents = [("<b>text \x1b[31m \x9b</b>", name) for name in classes]
    run_script(tmp_path, monkeypatch, (documents, documents), {"classes": classes})
    printed = capsys.readouterr()
    assert (printed.out + printed.err).replace("\n", "").isprintable()
    assert r"  test row 0, a\x1b[31m: <b>text \x1b[31m \x9b</b>" in printed.err.splitlines()
