"""The command line as a user meets it: what it prints, what it writes, how it ends."""

import csv
import gzip
import io
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from conftest import PROJECT
from tiny_models import untrained

from flaxtext.artifacts.bundle import read_bundle, write_bundle
from flaxtext.artifacts.metrics import write_json
from flaxtext.artifacts.token_ids import write_token_ids, write_unknown_words
from flaxtext.cli import extras
from flaxtext.cli.app import COMMANDS
from flaxtext.cli.description import describe_model, readable_facts
from flaxtext.cli.main import script
from flaxtext.cli.terminal import fit as fit_line
from flaxtext.cli.terminal import plain
from flaxtext.config.train import NetworkVariant
from flaxtext.io import streams
from flaxtext.io.formulas import neutralize
from flaxtext.text.token_ids import Examples, UnknownWords
from flaxtext.text.vocabulary import fit_vocabulary
from flaxtext.train.variants import train_variant

CLASSES = ["cats", "dogs", "birds"]
VERSION = "0.2.0"
WORDS = {
    "cats": ["purr", "whisker", "meow", "claw", "kitten"],
    "dogs": ["bark", "leash", "fetch", "bone", "puppy"],
    "birds": ["tweet", "feather", "nest", "wing", "chick"],
}
COMMON = ["tail", "the", "a", "of", "and", "is"]


def documents(n, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=n)
    texts = []
    for label in labels:
        words = rng.choice(WORDS[CLASSES[label]] + COMMON, size=rng.integers(1, 14)).tolist()
        texts.append(" ".join([*words, f"unseen{rng.integers(9)}"]).title() + "!")
    return texts, labels.astype(np.int32)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a trained model, and what the evaluate stage said of it."""
    folder = tmp_path_factory.mktemp("trained")
    (train, train_labels), (test, test_labels) = documents(1500, 0), documents(700, 1)
    words = fit_vocabulary([pa.array(train)], min_count=3)
    labels = {"train": train_labels, "test": test_labels}
    unknown = UnknownWords(words)
    batches = [(pa.array(train), train_labels), (pa.array(test), test_labels)]
    documents_of = dict(zip(labels, [found for found, _ in unknown.number(batches)], strict=True))
    write_unknown_words(folder / "unknown.parquet", unknown.words, words.rows)
    for name, own in documents_of.items():
        write_token_ids(folder / f"{name}.parquet", [(own, labels[name])], classes=CLASSES, origin={"source": "pets"})
    variant = NetworkVariant(
        max_len=10,
        pooling="padded_mean",
        embed_dim=8,
        hidden=16,
        epochs=8,
        batch_size=64,
        learning_rate=0.01,
        validation_from="test",
    )
    trained = train_variant(
        variant,
        *(Examples(documents_of[name].without_marks(), labels[name]) for name in ("train", "test")),
        name="pets_8",
        words=words,
        classes=CLASSES,
        origin={"source": "pets"},
    )
    model = folder / "data/models/pets_8"
    write_bundle(model, trained.model)
    command = [sys.executable, "stages/evaluate.py", "pets_8", "--model", str(model)]
    for name, path in {
        "train": "train.parquet",
        "test": "test.parquet",
        "unknown": "unknown.parquet",
        "predictions": "predictions.parquet",
        "confusion": "confusion.csv",
        "per-class": "per_class.csv",
        "metrics": "metrics/pets_8.json",
    }.items():
        command += [f"--{name}", str(folder / path)]
    subprocess.run(command, cwd=PROJECT, env={**os.environ, "PYTHONPATH": "."}, check=True, capture_output=True)
    pq.write_table(pa.table({"id": range(700), "text": test}), folder / "texts.parquet", row_group_size=300)
    return folder


@pytest.fixture
def model(trained):
    return str(trained / "data/models/pets_8")


@pytest.fixture
def small_blocks(monkeypatch):
    """Make a file of some kilobytes many blocks."""
    monkeypatch.setattr(streams, "BLOCK", 2048)


def write_table(path, rows):
    """Write `rows`, dicts of strings, by the ending of `path`."""
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    return path


def read_table(path):
    """Read back what `flaxtext predict` wrote, by the ending of `path`."""
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    if ".jsonl" in path.name:
        return [json.loads(line) for line in text.splitlines()]
    return list(csv.DictReader(io.StringIO(text), delimiter="\t" if ".tsv" in path.name else ","))


@pytest.mark.parametrize("block", [4096, 1 << 22])
def test_predictions_of_a_file_are_those_of_evaluate(flaxtext, trained, model, tmp_path, monkeypatch, block):
    monkeypatch.setattr(streams, "BLOCK", block)
    output = tmp_path / "out.parquet"
    arguments = ["predict", "-m", model, "-i", trained / "texts.parquet", "-o", output, "--top-k", 3]
    status, out, err = flaxtext(*arguments)
    assert (status, out) == (0, "")
    assert re.fullmatch(r"\S+out.parquet: 700 rows in \d+.\d\d s, [\d,]+ a second\n", err)
    evaluated = pq.read_table(trained / "predictions.parquet").filter(pc.field("split") == "test")
    predicted = pq.read_table(output)
    assert predicted["id"].to_pylist() == list(range(700)) == evaluated["row"].to_pylist()
    assert predicted["text"].equals(pq.read_table(trained / "texts.parquet")["text"])
    assert predicted["predicted"].to_pylist() == evaluated["predicted"].to_pylist()
    for row, expected in zip(predicted.to_pylist(), evaluated["probabilities"].to_pylist(), strict=True):
        ranked = sorted(zip(expected, CLASSES, strict=True), reverse=True)
        assert [row["predicted"], row["predicted_2"], row["predicted_3"]] == [name for _, name in ranked]
        found = [row["probability"], row["probability_2"], row["probability_3"]]
        assert found == pytest.approx([value for value, _ in ranked], abs=1e-6)
    accuracy = pc.mean(pc.equal(predicted["predicted"], evaluated["label"]).cast(pa.float64())).as_py()
    assert accuracy > 0.9


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet", "csv.gz", "jsonl.gz"])
@pytest.mark.parametrize("source", ["csv", "tsv", "jsonl", "parquet"])
def test_every_form_in_and_out(flaxtext, model, tmp_path, source, ending):
    texts, _ = documents(300, 2)
    rows = [
        {"title": f'no "{n}", é', "text": text, "more": "line\nbreak" if n % 7 == 0 else "x"}
        for n, text in enumerate(texts)
    ]
    read = write_table(tmp_path / f"in.{source}", rows)
    output = tmp_path / f"out.{ending}"
    assert flaxtext("predict", "-m", model, "-i", read, "-o", output)[0] == 0
    found = read_table(output)
    assert [{name: row[name] for name in rows[0]} for row in found] == rows
    assert list(found[0]) == ["title", "text", "more", "predicted", "probability"]
    loaded = read_bundle(model)
    assert [row["predicted"] for row in found] == loaded.predict(texts).tolist()
    expected = loaded.predict_proba(texts).max(axis=1)
    assert [float(row["probability"]) for row in found] == pytest.approx(expected.tolist(), abs=1e-6)
    first = output.read_bytes()
    flaxtext("predict", "-m", model, "-i", read, "-o", output)
    assert output.read_bytes() == first
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted({read.name, output.name})


def test_types_of_parquet_are_kept(flaxtext, model, tmp_path):
    table = pa.table(
        {
            "text": pa.array(["meow", None, "Bark"], pa.large_string()),
            "when": pa.array([0, None, 86_400], pa.timestamp("s")),
            "tags": pa.array([["a"], [], None]),
            "kind": pa.array(["x", "y", "x"]).dictionary_encode(),
        }
    ).replace_schema_metadata({"origin": "a test"})
    pq.write_table(table, tmp_path / "in.parquet")
    arguments = ["predict", "-m", model, "-i", tmp_path / "in.parquet"]
    status, _, err = flaxtext(*arguments, "-o", tmp_path / "out.parquet")
    assert status == 0
    assert err.endswith("note: 1 rows have no text and so no prediction; the first is row 2\n")
    found = pq.read_table(tmp_path / "out.parquet")
    assert found.select(table.schema.names).equals(pq.read_table(tmp_path / "in.parquet"))
    assert found.schema.metadata[b"origin"] == b"a test"
    assert found["predicted"].to_pylist() == ["cats", None, "dogs"]
    assert found.schema.field("probability").type == pa.float32()
    assert flaxtext(*arguments, "-o", tmp_path / "out.jsonl")[0] == 0
    assert read_table(tmp_path / "out.jsonl")[2]["when"] == "1970-01-02T00:00:00"
    assert flaxtext(*arguments, "-o", tmp_path / "out.csv")[0] == 0
    assert [row["tags"] for row in read_table(tmp_path / "out.csv")] == ['["a"]', "[]", ""]


def test_rows_without_text_stay(flaxtext, model, tmp_path):
    path = tmp_path / "in.csv"
    path.write_text('text,n\nmeow,1\n,2\n"  ",3\nbark,4\n', encoding="utf-8")
    status, _, err = flaxtext("predict", "-m", model, "-i", path, "-o", tmp_path / "out.csv")
    assert status == 0
    assert "note: 2 rows have no text and so no prediction; the first is row 3" in err
    rows = read_table(tmp_path / "out.csv")
    assert [row["n"] for row in rows] == ["1", "2", "3", "4"]
    assert [row["predicted"] for row in rows] == ["cats", "", "", "dogs"]
    assert [row["probability"] == "" for row in rows] == [False, True, True, False]


def test_several_text_columns_are_joined_as_in_training(flaxtext, model, tmp_path):
    path = write_table(tmp_path / "in.csv", [{"a": "meow", "b": "purr"}, {"a": "", "b": "bark"}])
    assert (
        flaxtext("predict", "-m", model, "-i", path, "-o", tmp_path / "o.jsonl", "--text", "a", "--text", "b")[0] == 0
    )
    expected = read_bundle(model).predict_proba(["meow purr", " bark"]).max(axis=1)
    assert [row["probability"] for row in read_table(tmp_path / "o.jsonl")] == pytest.approx(
        expected.tolist(), abs=1e-6
    )


def test_csv_without_a_header(flaxtext, model, tmp_path):
    (tmp_path / "in.csv").write_text('3,"Meow","purr"\n4,bark,\n', encoding="utf-8")
    arguments = ["predict", "-m", model, "-i", tmp_path / "in.csv", "-o", tmp_path / "out.csv", "--no-header"]
    assert flaxtext(*arguments, "--text", 2, "--text", 3)[0] == 0
    with (tmp_path / "out.csv").open(newline="") as file:
        assert [row[:4] for row in csv.reader(file)] == [["3", "Meow", "purr", "cats"], ["4", "bark", "", "dogs"]]
    assert flaxtext(*arguments, "--text", "body")[0] == 2


def test_real_news_keeps_its_rows(flaxtext, model, tmp_path, ag_news):
    arguments = ["--no-header", "--text", 2, "--text", 3]
    assert flaxtext("predict", "-m", model, "-i", ag_news / "test.csv", "-o", tmp_path / "o.csv", *arguments)[0] == 0
    with (ag_news / "test.csv").open(encoding="utf-8", newline="") as file:
        expected = list(csv.reader(file))
    with (tmp_path / "o.csv").open(encoding="utf-8", newline="") as file:
        assert [row[:3] for row in csv.reader(file)] == expected


def test_cells_that_a_spreadsheet_would_run_are_made_harmless_if_asked(flaxtext, model, tmp_path):
    cells = ["=1+1", "+A1", "-A1", "@SUM(A1)", "\tx", "\rx", '=HYPERLINK("http://x")']
    harmless = ["-1.5", "+3", "1-2", "a=b", "", "-2e-9", "-.5"]
    assert neutralize(pa.array([*cells, *harmless, None])).to_pylist() == [*("'" + c for c in cells), *harmless, None]
    path = write_table(tmp_path / "in.jsonl", [{"text": cell or "x", "=n": "-1"} for cell in cells])
    arguments = ["predict", "-m", model, "-i", path, "-o"]
    assert flaxtext(*arguments, tmp_path / "o.csv", "--escape-formulas")[0] == 0
    assert [row["text"] for row in read_table(tmp_path / "o.csv")] == ["'" + cell for cell in cells]
    assert list(read_table(tmp_path / "o.csv")[0])[1] == "'=n"
    assert flaxtext(*arguments, tmp_path / "kept.csv")[0] == 0
    assert [row["text"] for row in read_table(tmp_path / "kept.csv")] == cells
    assert flaxtext(*arguments, tmp_path / "o.jsonl")[0] == 0
    assert [row["text"] for row in read_table(tmp_path / "o.jsonl")] == cells


def test_columns_that_are_there_already(flaxtext, model, tmp_path):
    for name in ("in.csv", "in.jsonl"):
        path = write_table(tmp_path / name, [{"text": "meow", "predicted": "dogs"}])
        arguments = ["predict", "-m", model, "-i", path, "-o", tmp_path / "out.jsonl"]
        status, _, err = flaxtext(*arguments)
        assert status == 1
        assert re.fullmatch(r"error: .* has a column 'predicted' already; give the new ones a --prefix\n", err)
        assert not (tmp_path / "out.jsonl").exists()
        assert flaxtext(*arguments, "--prefix", "pets_")[0] == 0
        [row] = read_table(tmp_path / "out.jsonl")
        assert (row["predicted"], row["pets_predicted"]) == ("dogs", "cats")
        (tmp_path / "out.jsonl").unlink()


def test_json_lines_keep_what_columns_cannot_hold(flaxtext, model, tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_text(
        '\ufeff{"text": "meow", "deep": {"a": [1, null]}, "half": "\\ud83d"}\n\n'
        '{"text": null, "other": 1e999}\n{"text": 7}\n',
        encoding="utf-8",
    )
    status, _, err = flaxtext("predict", "-m", model, "-i", path, "-o", tmp_path / "out.jsonl")
    assert status == 0
    assert "the first is row 3" in err
    first, second, third = read_table(tmp_path / "out.jsonl")
    assert first["deep"] == {"a": [1, None]}
    assert first["half"] == "\ud83d"
    assert second == {"text": None, "other": float("inf"), "predicted": None, "probability": None}
    assert third["predicted"] in CLASSES
    status, _, err = flaxtext("predict", "-m", model, "-i", path, "-o", tmp_path / "out.parquet")
    assert status == 1
    assert err.count("\n") == 1
    assert "in.jsonl: row 1: half of a surrogate pair (\\ud83d) in half;" in err


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("in.csv", b"body\nmeow\n", "in.csv: no column 'text'; there are body"),
        ("in.csv", b"", "in.csv: the file is empty"),
        ("in.csv", b"text\n", "in.csv: no rows in the file"),
        ("in.csv", b"text,n\nmeow,1\nbark\n", "in.csv: row 3: expected 2 fields, found 1"),
        ("in.csv", b"text\nmeow\n\xff\n", "in.csv: row 3: not UTF-8"),
        ("in.csv.gz", gzip.compress(b"text\nmeow\n", mtime=0)[:-4], "in.csv.gz: not a whole gzip file"),
        ("in.jsonl", b'{"text": "meow"}\n{"text": \n', "in.jsonl: row 2: not JSON"),
        ("in.jsonl", b'{"text": "meow"}\n{"body": "x"}\n', "in.jsonl: row 2: no column 'text'; there are body"),
        ("in.jsonl", b'{"text": ["meow"]}\n', 'in.jsonl: row 1: text is ["meow"], not a string or number'),
        ("in.jsonl", b"[" * 100_000 + b"\n", "in.jsonl: row 1: a JSON array"),
        ("in.jsonl.gz", gzip.compress(b'{"text": "meow"}\n' * 99, mtime=0)[:-9], "in.jsonl.gz: not a whole gzip file"),
        ("in.parquet", b"PAR1 and no more", "in.parquet: not a whole Parquet file"),
    ],
)
def test_a_bad_file_is_one_line_and_leaves_nothing(flaxtext, model, tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    status, out, err = flaxtext("predict", "-m", model, "-i", tmp_path / name, "-o", tmp_path / "out.csv")
    assert (status, out) == (1, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_failed_run_leaves_the_older_output_as_it_was(flaxtext, model, tmp_path):
    (tmp_path / "in.csv").write_bytes(b"text\nmeow\n\xff\n")
    (tmp_path / "out.csv").write_text("older")
    assert flaxtext("predict", "-m", model, "-i", tmp_path / "in.csv", "-o", tmp_path / "out.csv")[0] == 1
    assert (tmp_path / "out.csv").read_text() == "older"


@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", "text"],
        ["predict", "-m", "M", "-i", "in.csv"],
        ["predict", "-m", "M", "-o", "out.csv"],
        ["predict", "-m", "M", "-i", "in.csv", "-o", "out.xlsx"],
        ["predict", "-m", "M", "-i", "in.txt", "-o", "out.csv"],
        ["predict", "-m", "M", "-i", "in.csv", "-o", "out.parquet.gz"],
        ["predict", "-m", "M", "-i", "in.csv", "-o", "out.csv", "text"],
        ["predict", "-m", "M", "-i", "in.csv", "-o", "out.csv", "--json"],
        ["predict", "-m", "M", "--top-k", "0", "text"],
        ["predict", "-m", "M", "--no-such", "text"],
        ["no-such-command"],
        [],
    ],
)
def test_a_wrong_command_ends_with_2(flaxtext, arguments, monkeypatch):
    monkeypatch.delenv("FLAXTEXT_MODEL", raising=False)
    status, out, err = flaxtext(*arguments)
    assert status == 2
    assert "Usage" in out + err


def test_an_output_that_is_a_folder_is_left_alone(flaxtext, model, trained, tmp_path):
    (tmp_path / "out.csv").mkdir()
    (tmp_path / "out.csv" / "precious").touch()
    assert flaxtext("predict", "-m", model, "-i", trained / "texts.parquet", "-o", tmp_path / "out.csv")[0] == 2
    assert flaxtext("explain", "-m", model, "x", "--html", tmp_path / "out.csv")[0] == 2
    assert (tmp_path / "out.csv" / "precious").exists()


def test_texts_on_the_command_line(flaxtext, model, monkeypatch):
    status, out, err = flaxtext("predict", "-m", model, "Meow, purr", "bark\x1b[31m\nbone", "", "--top-k", 2)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert re.fullmatch(r"cats   [01]\.\d{3}  (dogs |birds)  0\.\d{3}  Meow, purr", lines[0])
    assert re.fullmatch(r"dogs   [01]\.\d{3}  (cats |birds)  0\.\d{3}  bark \[31m bone", lines[1])
    assert lines[2].split() == ["-"] * 4
    monkeypatch.setenv("FLAXTEXT_MODEL", model)
    assert flaxtext("predict", "Meow, purr", "--json")[1] == flaxtext("predict", "-m", model, "--json", "Meow, purr")[1]


def test_texts_from_standard_input(flaxtext, model):
    status, out, err = flaxtext("predict", "-m", model, "--json", stdin="meow\r\n\nBark é".encode())
    assert (status, err) == (0, "")
    rows = [json.loads(line) for line in out.splitlines()]
    assert [(row["text"], row["predicted"]) for row in rows] == [("meow", "cats"), ("", None), ("Bark é", "dogs")]
    assert 0 < rows[0]["probability"] < 1
    [alone] = map(json.loads, flaxtext("predict", "-m", model, "--json", "-", stdin=b"meow\n")[1].splitlines())
    assert alone == {**rows[0], "probability": pytest.approx(rows[0]["probability"], abs=2e-6)}
    status, out, err = flaxtext("predict", "-m", model, stdin=b"meow\n\xff\n")
    assert (status, err) == (1, "error: standard input: line 2: not UTF-8\n")
    assert flaxtext("predict", "-m", model, stdin=b"") == (0, "", "")


def test_explain_in_words(flaxtext, model, tmp_path):
    status, out, err = flaxtext("explain", "-m", model, "the Meow and <b>zzz</b>", "--words", 2)
    assert (status, err) == (0, "")
    assert "\x1b" not in out
    lines = out.splitlines()
    assert lines[0].startswith("cats  0.")
    assert lines[2] == "the Meow and <b>zzz</b>"
    assert re.fullmatch(r"  meow +\+0\.\d{3}  \+{20}", lines[4])
    assert len(lines) == 6
    status, _, err = flaxtext("explain", "-m", model, "x", "--class", "fish")
    assert (status, err) == (1, f"error: {model}: no class 'fish'; there are cats, dogs, birds\n")
    page = tmp_path / "pages" / "page.html"
    status, out, err = flaxtext(
        "explain", "-m", model, "Meow <b>", "--html", page, "--class", "dogs", "--class", "cats", "bark"
    )
    assert status == 0
    assert "For or against dogs" in out
    assert "2 texts explained" in err
    html = page.read_text(encoding="utf-8")
    assert "<h2>Text 2</h2>" in html
    assert "Meow</mark> &lt;" in html
    assert "<b>" not in html
    assert "True" not in html


def test_explain_as_json_is_the_same_every_time(flaxtext, model):
    first = flaxtext("explain", "-m", model, "--json", "Meow tail", "bark", "")
    assert first == flaxtext("explain", "-m", model, "--json", stdin=b"Meow tail\nbark\n\n")
    document, _, empty = (json.loads(line) for line in first[1].splitlines())
    assert document["predicted"]["class"] == "cats"
    assert document["explanations"][0]["words"][0]["word"] == "meow"
    assert document["explanations"][0]["words"][0]["weight"] > 0
    assert empty["explanations"][0]["words"] == []


def test_explain_colours_words_on_a_terminal_alone(model):
    command = [sys.executable, "-m", "flaxtext", "explain", "-m", model, "Meow bark"]

    def on_terminal(**variables):
        leader, follower = pty.openpty()
        environment = {**os.environ, "TERM": "xterm-256color", "PYTHONPATH": ".", **variables}
        process = subprocess.Popen(command, cwd=PROJECT, stdout=follower, stderr=subprocess.DEVNULL, env=environment)
        os.close(follower)
        shown = b""
        try:
            while data := os.read(leader, 4096):
                shown += data
        except OSError:  # the other end is closed
            pass
        os.close(leader)
        assert process.wait() == 0
        return shown.decode()

    coloured = on_terminal()
    assert re.search("\x1b\\[1;(4;)?38;5;\\d+mMeow\x1b\\[0m", coloured)
    assert "\x1b" not in on_terminal(NO_COLOR="1")
    assert "\x1b" not in on_terminal(TERM="dumb")


def test_what_is_printed_cannot_command_the_terminal():
    assert plain("a\x1b]0;title\x07\x9bb\u202ec\n") == "a ]0;title  b c "
    assert fit_line("a\nlonger text", 6) == "a lon…"
    assert fit_line("short", None) == "short"


def test_inspect(flaxtext, trained, model, tmp_path):
    status, out, err = flaxtext("inspect", "-m", model)
    assert (status, err) == (0, "")
    metrics = json.loads((trained / "metrics/pets_8.json").read_text())
    assert out.startswith(
        "pets_8\n  model       padded_mean of 8-dimensional embeddings of words, hidden layer of 16\n"
    )
    assert "trained on  pets: 1,500 documents, 700 watched" in out
    assert f"accuracy {metrics['test']['accuracy']:.3f}, macro F1 {metrics['test']['macro_f1']:.3f}\n" in out
    low, high = 0.9, 0.99
    figures = {key: {"value": metrics["test"][key], "low": low, "high": high} for key in ("accuracy", "macro_f1")}
    folder = tmp_path / "metrics"
    shutil.copytree(trained / "metrics", folder)
    comparison = {"confidence": 0.95, "variants": {"pets_8": figures}}
    (folder / "comparison.json").write_text(json.dumps(comparison))
    out = flaxtext("inspect", "-m", model, "--metrics", folder)[1]
    assert f"accuracy {metrics['test']['accuracy']:.3f} (0.900 to 0.990), macro F1" in out
    assert "95% intervals" in out
    facts = json.loads(flaxtext("inspect", "-m", model, "--json", "--metrics", folder)[1])
    assert facts["test"]["intervals"]["accuracy"] == [low, high]
    assert facts["parameters"] == metrics["parameters"]
    assert facts["classes"] == CLASSES
    assert facts["words"] == len(read_bundle(model).vocabulary)
    described = {key: facts[key] for key in ("name", "model", "pooling", "embed_dim", "hidden", "prefix", "max_len")}
    assert described == {
        "name": "pets_8",
        "model": "network",
        "pooling": "padded_mean",
        "embed_dim": 8,
        "hidden": 16,
        "prefix": None,
        "max_len": 10,
    }


def test_inspect_shows_no_figures_of_another_model(flaxtext, trained, model, tmp_path):
    elsewhere = tmp_path / "copied"
    shutil.copytree(model, elsewhere)
    assert "no figures of this model found" in flaxtext("inspect", "-m", elsewhere)[1]
    assert flaxtext("inspect", "-m", elsewhere, "--metrics", tmp_path)[0] == 1
    other = json.loads((trained / "metrics/pets_8.json").read_text())
    for damaged in ({**other, "parameters": 1}, {**other, "test": {}}, {**other, "test": []}, [], {}):
        (tmp_path / "pets_8.json").write_text(json.dumps(damaged))
        status, out, _ = flaxtext("inspect", "-m", elsewhere, "--metrics", tmp_path)
        assert (status == 1) if damaged == [] else "no figures of this model found" in out


def test_inspect_of_many_classes_shows_the_worst(tmp_path):
    classes = [f"c{number}" for number in range(300)]
    model = untrained(["meow"], classes=classes, flax=False, pooling="mean", embed_dim=2)
    figures = {"accuracy": 0.5, "macro_f1": 0.25, "loss": 1.5, "ece": 0.125}
    scores = {"precision": 0.5, "recall": 0.25, "f1": 0.375, "support": 1234}
    test = {**figures, "worst_classes": {"c7": scores, "c12": scores}}
    folder = tmp_path / "metrics"
    write_json(folder / "many.json", {"test": test, "parameters": model.size})
    write_bundle(tmp_path / "data/models/many", model)
    shown = readable_facts(describe_model(model, tmp_path / "data/models/many")).splitlines()
    assert shown[-3:] == [
        f"{'':14}the 2 classes with the lowest F1:",
        f"{'':14}c7   precision 0.500, recall 0.250, f1 0.375, 1,234 documents",
        f"{'':14}c12  precision 0.500, recall 0.250, f1 0.375, 1,234 documents",
    ]
    write_json(folder / "many.json", {"test": {**test, "worst_classes": {"c300": scores}}, "parameters": model.size})
    assert describe_model(model, tmp_path / "data/models/many")["test"] is None


def test_nearest_words(flaxtext, model):
    status, out, _ = flaxtext("inspect", "-m", model, "--word", "Meow", "--nearest", 4, "--json")
    assert status == 0
    nearest = json.loads(out)["nearest"]
    assert {word["word"] for word in nearest} == set(WORDS["cats"]) - {"meow"}
    loaded = read_bundle(model)
    table = loaded.members[0]["embedding"]["embedding"]
    first, second = table[loaded.token_ids(["meow", nearest[0]["word"]])]
    assert nearest[0]["cosine"] == pytest.approx(
        first @ second / np.linalg.norm(first) / np.linalg.norm(second), abs=1e-5
    )
    assert flaxtext("inspect", "-m", model, "-w", "meow", "-w", "bark")[1].count("\n") == 22
    status, _, err = flaxtext("inspect", "-m", model, "-w", "meows")
    assert (status, err) == (1, "error: the model does not know the word 'meows'; did you mean meow?\n")
    assert flaxtext("inspect", "-m", model, "-w", "two words")[0] == 1


def test_class_weights_are_no_embeddings(flaxtext, tmp_path):
    write_bundle(tmp_path / "linear", untrained(["meow bark", "bark tweet"], classes=CLASSES, ngrams=2, characters=3))
    assert flaxtext("inspect", "-m", tmp_path / "linear", "-w", "meow") == (
        1,
        "",
        "error: the model gives each word a weight for each class, and no embedding, so no words are near it; "
        "flaxtext explain shows what words add to the class of a text\n",
    )
    status, out, _ = flaxtext("inspect", "-m", tmp_path / "linear")
    assert status == 0
    assert (
        "words       3, 2 n-grams of words, 38 n-grams of characters; the first 12 words of a document count\n" in out
    )


def test_a_long_text_is_explained_whole(flaxtext, tmp_path):
    """As the words are read: an unknown one by its letters."""
    model = untrained(["meow bark", "bark tweet"], classes=CLASSES, ngrams=2, characters=3, max_len=None)
    write_bundle(tmp_path / "linear", model)
    text = "meow, barking " * 5000
    status, out, err = flaxtext("explain", "-m", tmp_path / "linear", text, "--json", "--samples", 300)
    assert (status, err) == (0, "")
    told = json.loads(out)
    assert {word["word"] for word in told["explanations"][0]["words"]} == {"meow", "barking"}
    assert told["predicted"]["probability"] == pytest.approx(float(model.predict_proba([text]).max()), abs=1e-5)


def test_a_damaged_model_is_one_line(flaxtext, model, tmp_path):
    shutil.copytree(model, tmp_path / "damaged")
    (tmp_path / "damaged" / "model.safetensors").write_bytes(b"")
    for command in (["predict", "x"], ["explain", "x"], ["inspect"], ["export", "-o", tmp_path / "out"]):
        status, out, err = flaxtext(command[0], "-m", tmp_path / "damaged", *command[1:])
        assert (status, out) == (1, "")
        assert re.fullmatch("error: .*damaged, edited or of another model.*\n", err)


def test_help_and_version(flaxtext):
    status, out, _ = flaxtext("--version")
    assert (status, out) == (0, f"{VERSION}\n")
    options = {
        **dict.fromkeys(("predict", "explain", "inspect", "export"), "--model"),
        "compare": "--variant",
        "set": "KEY=VALUE",
        "results": "figures",
        "advise": "--json",
        "sweep": "--minutes",
    }
    assert set(options) == set(COMMANDS)
    for command, option in options.items():
        status, out, _ = flaxtext(command, "--help")
        assert status == 0
        assert option in re.sub("\x1b\\[[0-9;]*m", "", out)
        assert command in flaxtext("--help")[1]


def test_the_console_script_is_declared():
    with (PROJECT / "pyproject.toml").open("rb") as file:
        assert tomllib.load(file)["project"]["scripts"] == {"flaxtext": "flaxtext.cli.main:script"}
    assert callable(script)


def test_as_a_module_without_warnings(model):
    command = [sys.executable, "-W", "error", "-m", "flaxtext", "predict", "--json", "-m", model, "meow"]
    ran = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    assert json.loads(ran.stdout)["predicted"] == "cats"
    assert ran.stderr == ""


def test_ctrl_c_ends_with_130(model):
    command = [sys.executable, "-m", "flaxtext", "predict", "-m", model]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=PROJECT, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        process.stdin.write(b"meow\n")
        process.stdin.flush()
        assert process.stdout.readline().startswith(b"cats")  # at once, though more could follow
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Traceback" not in err


@pytest.mark.usefixtures("small_blocks")
def test_ctrl_c_leaves_no_half_written_file(flaxtext, model, trained, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("tqdm.tqdm.update", interrupt)
    for name in ("out.parquet", "out.csv", "out.jsonl.gz"):
        status, *_ = flaxtext("predict", "-m", model, "-i", trained / "texts.parquet", "-o", tmp_path / name)
        assert status == 130
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_goes_away_is_no_error_of_python(model):
    command = f"yes meow | head -n 20000 | {sys.executable} -m flaxtext predict -m {model} | head -n 1"
    ran = subprocess.run(["sh", "-c", command], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("cats")
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize(
    "from_ids", [pytest.param(1 << 40, id="numpy"), pytest.param(0, id="jax", marks=pytest.mark.slow)]
)
def test_memory_does_not_grow_with_the_file(model, tmp_path, from_ids):
    texts, _ = documents(20_000, 3)
    batch = pa.record_batch({"text": [text * 5 for text in texts]})
    code = "import atexit, bench.measure as m, flaxtext.cli.main; atexit.register(lambda: print(m.peak_memory()));"
    code += f"import flaxtext.model.prediction as p; p.JAX_IDS = {from_ids}; flaxtext.cli.main.main()"
    peaks = []
    for times in (15, 60):
        path = tmp_path / f"{times}.parquet"
        with pq.ParquetWriter(path, batch.schema) as writer:
            for _ in range(times):
                writer.write_batch(batch)
        command = [sys.executable, "-c", code, "predict", "-m", model, "-i", path, "-o", tmp_path / "out.parquet"]
        ran = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
        peaks.append(float(ran.stdout))
        assert pq.read_metadata(tmp_path / "out.parquet").num_rows == times * 20_000
    assert peaks[1] - peaks[0] < 90  # MB; the larger file holds 180 MB of text more


HIDDEN = sorted({*extras.PACKAGES, "tqdm", "threadpoolctl"} - {"pydantic"})  # which typer needs
HIDE = f"""
import json, sys

class Hidden:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in {HIDDEN}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Hidden())
from flaxtext.cli.main import main
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["flaxtext", *arguments]
    try:
        main()
    except SystemExit as ended:
        print(f"status {{ended.code}}", flush=True)
"""
"""Runs commands where none of the packages that extras bring seems to be installed."""


def with_core_alone(folder, *commands):
    command = [sys.executable, "-c", HIDE, json.dumps([[str(word) for word in command] for command in commands])]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    return ran.stdout, ran.stderr


def test_no_extra_is_needed_to_use_a_model(flaxtext, model, trained, tmp_path):
    commands = [
        ["predict", "-m", model, "meow", "bark"],
        ["explain", "-m", model, "meow"],
        ["inspect", "-m", model],
        ["inspect", "-m", model, "--word", "meow"],
    ]
    expected = "".join(f"{flaxtext(*command)[1]}status 0\n" for command in commands)
    to_file = ["predict", "-m", model, "-i", trained / "texts.parquet", "-o"]
    out, err = with_core_alone(tmp_path, *commands, [*to_file, tmp_path / "alone.parquet"])
    assert out == f"{expected}status 0\n"
    assert re.fullmatch(r"\S+alone.parquet: 700 rows in .*\n", err)
    flaxtext(*to_file, tmp_path / "all.parquet")
    assert (tmp_path / "alone.parquet").read_bytes() == (tmp_path / "all.parquet").read_bytes()


def test_what_is_missing_is_said_on_one_line(model, tmp_path):
    (tmp_path / "params.yaml").write_bytes((PROJECT / "params.yaml").read_bytes())
    needed = {
        ("export", "-m", model, "-o", tmp_path / "out"): ("jax", "train"),
        ("explain", "-m", model, "x", "--html", tmp_path / "out"): ("jinja2", "train"),
        ("set", "train.epochs=5"): ("ruamel.yaml", "pipeline"),
        ("compare",): ("dvc", "pipeline"),
        ("results",): ("scipy", "pipeline"),
        ("advise",): ("scipy", "pipeline"),
        ("sweep", "sum_20", "embed_dim=5"): ("dvc", "pipeline"),
    }
    out, err = with_core_alone(tmp_path, *needed)
    assert out == "status 1\n" * len(needed)
    assert err.splitlines() == [
        f"error: flaxtext {command} needs the package {package}: pip install 'flaxtext[{extra}]'"
        for (command, *_), (package, extra) in needed.items()
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]


def test_every_package_of_the_extras_is_known():
    """Except for those that are used only where they are installed, or by other packages alone."""
    with (PROJECT / "pyproject.toml").open("rb") as file:
        declared = tomllib.load(file)["project"]["optional-dependencies"]
    names = {re.split(r"[><=;[]", one)[0].strip() for extra in ("train", "pipeline") for one in declared[extra]}
    optional = {"aiohttp", "flaxtext", "ruamel.yaml.clib", "threadpoolctl", "tqdm", "vl-convert-python"}
    assert names - optional == set(extras.PACKAGES.values())


def test_the_environment_of_make_has_the_command():
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    assert "pip install --quiet --editable '.[pipeline]'" in makefile
    script = Path(sys.executable).with_name("flaxtext")
    if not script.exists():
        pytest.skip("flaxtext is not installed here")
    assert subprocess.run([script, "--version"], capture_output=True, text=True, check=True).stdout == f"{VERSION}\n"
