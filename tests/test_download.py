import csv
import hashlib
import importlib.util
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from conftest import PROJECT
from ruamel.yaml import YAML

from flaxtext.artifacts.corpus import Corpus
from flaxtext.core.errors import UserError
from flaxtext.io import streams

SCRIPT = PROJECT / "stages" / "download.py"


def load_stage():
    spec = importlib.util.spec_from_file_location("download", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(SCRIPT.parent)  # as Python does for a script
        spec.loader.exec_module(module)
    return module


download = load_stage()


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch) -> Path:
    """A project folder of its own, as the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "inputs").mkdir(parents=True)
    return tmp_path


def stage(monkeypatch, own: dict | None = None, source: str = "own", **data) -> None:
    """Run the stage on the source `own`, or another of params.yaml."""
    values = YAML(typ="safe").load(PROJECT / "params.yaml")
    values["data"] = {"source": source, **data}
    if own is not None:
        files = {} if "packages" in own else {"train": "data/inputs/train.csv"}
        values["sources"]["own"] = files | own
    YAML().dump(values, Path("params.yaml"))  # keeps the order of keys
    monkeypatch.setattr(sys, "argv", ["download", "--train", "raw/train.parquet", "--test", "raw/test.parquet"])
    download.main()


def message(monkeypatch, own: dict, content: str, **data) -> str:
    Path("data/inputs/train.csv").write_text(content)
    with pytest.raises(UserError) as caught:
        stage(monkeypatch, own, **data)
    for folder in ("raw", "data/checks"):
        assert list(Path(folder).iterdir()) == []  # neither output, nor a temporary one
    return str(caught.value)


def read(split: str) -> list[dict]:
    return ds.dataset(f"raw/{split}.parquet").to_table().to_pylist()


def test_ag_news(ag_news, monkeypatch, capsys):
    stage(monkeypatch, source="ag_news", mirror=str(ag_news), verify=False)
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        f"{ag_news}/train.csv: 65,689 rows read; 65,689 kept",
        f"{ag_news}/test.csv: 7,600 rows read; 7,600 kept",
        "ag_news: 65,689 + 7,600 documents",
        "  World: 16,854 + 1,900",
        "  Sports: 15,982 + 1,900",
        "  Business: 15,976 + 1,900",
        "  Sci/Tech: 16,877 + 1,900",
    ]
    unseen = "DVC does not see when this file changes; put it into data/inputs/, or set data.verify: true"
    assert printed.err.splitlines() == [
        f"warning: {ag_news}/train.csv: {unseen}",
        f"warning: {ag_news}/train.csv: NOT verified (data.verify: false): "
        "MD5 is 479a26db7e30b51abfe3b21770f990af, expected b1a00f826fdfbd249f79597b59e1dc12",
        f"warning: {ag_news}/test.csv: {unseen}",
    ]
    rows = read("test")
    assert rows[0]["label"] == "Business"
    assert rows[0]["text"].startswith(
        "Fears for T N pension after talks Unions representing workers at Turner   Newall"
    )
    assert "RFID" in rows[2864]["text"]
    assert rows[2864]["label"] == "Sci/Tech"
    assert sum(row["text"].startswith(" ") for row in read("train")) >= 3600  # an empty title


def test_ag_news_from_another_file_than_the_published(ag_news, monkeypatch):
    with pytest.raises(UserError) as caught:
        stage(monkeypatch, source="ag_news", mirror=str(ag_news))
    assert str(caught.value) == (
        f"{ag_news}/train.csv: MD5 is 479a26db7e30b51abfe3b21770f990af, expected b1a00f826fdfbd249f79597b59e1dc12: "
        "not the published file, or cut short; get it again, or set data.verify: false to use it all the same"
    )
    assert not Path("raw").exists()


def test_unreachable(monkeypatch):
    monkeypatch.setattr("flaxtext.download.fetch.PAUSE", 0)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(UserError) as caught:
        stage(monkeypatch, {"train": "http://127.0.0.1:9/train.csv", "test": "http://127.0.0.1:9/test.csv"})
    assert str(caught.value) == (
        "cannot read http://127.0.0.1:9/train.csv: connection refused, after 3 tries; on a machine that "
        "cannot reach it, put train.csv and test.csv into a folder and set data.mirror to it"
    )


def test_contract(monkeypatch, capsys):
    """Classes in the source's order, in every row group, also where a class or a split is rare."""
    monkeypatch.setattr(streams, "BLOCK", 200)
    classes = ["c", "b", "a"]
    Path("data/inputs/train.csv").write_text(
        "text,label\n" + "".join(f"text {i},{classes[i // 100]}\n" for i in range(300))
    )
    stage(monkeypatch, {"classes": classes})
    for split in ("train", "test"):
        path = f"raw/{split}.parquet"
        groups = [pq.ParquetFile(path).read_row_group(i) for i in range(pq.ParquetFile(path).num_row_groups)]
        assert len(groups) > 3
        chunks = [chunk for group in groups for chunk in group["label"].chunks]
        assert {tuple(chunk.dictionary.to_pylist()) for chunk in chunks} == {tuple(classes)}
        assert len({tuple(set(chunk.to_pylist())) for chunk in chunks}) > 1  # some chunks lack a class
        batches = list(ds.dataset(path).to_batches())
        assert all(batch["label"].dictionary.to_pylist() == classes for batch in batches if len(batch))
        corpus = Corpus(path)
        assert corpus.classes == classes
        labels = [label for _, part in corpus.texts_and_labels() for label in part]
        assert [classes[label] for label in labels] == [row["label"] for row in read(split)]
    dataset = ds.dataset("raw/train.parquet")
    assert str(dataset.schema.field("label").type) == "dictionary<values=string, indices=int32, ordered=0>"
    assert dataset.schema.metadata == {
        b"flaxtext": b'{"checksums": {"train": "%s"}, "classes": ["c", "b", "a"], "format": "corpus", "source": "own", '
        b'"version": 1}' % _md5("data/inputs/train.csv").encode()
    }
    assert len(read("train")) + len(read("test")) == 300
    assert 30 < len(read("test")) < 90
    assert capsys.readouterr().err == ""


def _md5(path: str) -> str:
    return hashlib.md5(Path(path).read_bytes(), usedforsecurity=False).hexdigest()


def test_long_fields_of_20_classes_and_two_runs_give_the_same_bytes(monkeypatch):
    rng = random.Random(0)  # noqa: S311
    names = [f"class {i}" for i in range(20)]
    long = {f"{i} " + 'word, "quoted"\r\n' * 10_000: rng.choice(names) for i in range(200)}  # 160 kB each
    with Path("data/inputs/train.csv").open("w", newline="") as file:
        file.write("id,label,text\n")
        for text, label in long.items():
            quoted = text.replace('"', '""')
            file.write(f'1,{label},"{quoted}"\n')
    stage(monkeypatch, {"test_fraction": 0.3})
    rows = {split: read(split) for split in ("train", "test")}
    assert {row["text"]: row["label"] for split in rows.values() for row in split} == long
    assert Corpus("raw/train.parquet").classes == sorted(names)
    before = [Path(f"raw/{split}.parquet").read_bytes() for split in rows]
    stage(monkeypatch, {"test_fraction": 0.3})
    assert [Path(f"raw/{split}.parquet").read_bytes() for split in rows] == before


def test_warns_of_a_class_that_test_lacks(monkeypatch, capsys):
    Path("data/inputs/train.csv").write_text("text,label\na,x\nb,y\nc,z\n")
    Path("data/inputs/test.csv").write_text("text,label\na,x\n")
    stage(monkeypatch, {"test": "data/inputs/test.csv"})
    assert capsys.readouterr().err == "warning: data/inputs/train.csv: no test document of class y, z\n"


def test_documents_that_no_classifier_can_learn_from(monkeypatch):
    classes = {"classes": ["x", "y", "z"]}
    Path("data/inputs/test.csv").write_text("text,label\na,x\n")
    test = {"test": "data/inputs/test.csv"}
    name = "data/inputs/train.csv"
    for own in (test, test | classes):
        assert message(monkeypatch, own, "text,label\na,x\nb,x\n") == (
            f"{name}: all training documents are of class 'x'; a classifier needs two classes or more"
        )
    assert message(monkeypatch, test | classes, "text,label\na,x\nb,y\n") == (
        f"{name}: no training document of class z; add some to the file, or take the class out of sources.own.classes"
    )
    assert message(monkeypatch, {}, "text,label\na,x\n") == (
        f"{name}: no document falls to the test split; give more of them, or another test_fraction"
    )
    assert message(monkeypatch, {}, "text,label\n") == f"{name}: no documents in the file"
    Path("data/inputs/test.csv").write_text("text,label\na,w\n")
    assert message(monkeypatch, test, "text,label\na,x\nb,y\n") == (
        "data/inputs/test.csv: label 'w' in row 2 is not one of x, y; correct the file or add the label to "
        "sources.own.classes"
    )


def test_rows_that_are_left_out_are_listed(monkeypatch, capsys):
    rows = [f"t{i},{'xy'[i % 2]}\n" for i in range(50)]
    rows[10:10] = [",x\n", '"a ""b"",\nc",\n', "\n", f'"{"long " * 1000}",\n']
    Path("data/inputs/train.csv").write_text("text,label\n" + "".join(rows))
    stage(monkeypatch, {"skip_empty": True})
    printed = capsys.readouterr()
    assert printed.out.splitlines()[0] == (
        "data/inputs/train.csv: 54 rows read; 1 blank, 1 without text, 2 without label; 50 kept"
    )
    assert printed.err == ""
    with Path("data/checks/rejected.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [
            ["file", "row", "reason", "label", "text"],
            ["data/inputs/train.csv", "12", "without text", "x", ""],
            ["data/inputs/train.csv", "13", "without label", "", 'a "b",\nc'],
            ["data/inputs/train.csv", "15", "without label", "", "long " * 200],
        ]
    Path("data/inputs/train.csv").write_text("text,label\n" + "".join(rows[:10] + rows[14:]))
    stage(monkeypatch, {"skip_empty": True})
    assert Path("data/checks/rejected.csv").read_text() == "file,row,reason,label,text\n"


def test_labels_that_are_cleaned_are_said_once(monkeypatch, capsys):
    labels = ["sport", "money", "sport ", "money\u00a0"] * 20
    Path("data/inputs/train.csv").write_text("text,label\n" + "".join(f"t{i},{own}\n" for i, own in enumerate(labels)))
    stage(monkeypatch, {})
    assert Corpus("raw/train.parquet").classes == ["money", "sport"]
    assert capsys.readouterr().err == (
        "note: data/inputs/train.csv: white space or invisible characters removed around or in 40 labels\n"
    )


def test_of_many_classes_the_largest_are_printed(monkeypatch, capsys):
    rows = [f"text {label} {i},{label}\n" for label in range(30) for i in range(5 + label)]
    Path("data/inputs/train.csv").write_text("text,label\n" + "".join(rows))
    stage(monkeypatch, {})
    lines = capsys.readouterr().out.splitlines()
    shown = [line.split(":")[0].strip() for line in lines[-21:-1]]
    assert shown == [str(label) for label in range(29, 9, -1)]
    assert lines[-1] == "  ... 30 classes in all, of which these are the largest; the smallest has 5 documents"


def test_what_commands_a_terminal_is_made_visible(monkeypatch, capsys):
    red = "\x1b[31mred\u202e"
    content = "text,label\n" + "".join(f"t{i},{own}\n" for i, own in enumerate([red, "blue", "blue"] * 10))
    test = {"test": "data/inputs/test.csv"}
    Path("data/inputs/test.csv").write_text(f"text,label\nt,{red}!\n")
    assert message(monkeypatch, test, content).startswith(
        r"data/inputs/test.csv: label '\x1b[31mred\u202e!' in row 2 is not one of \x1b[31mred, blue; "
    )
    Path("data/inputs/test.csv").write_text("text,label\nt,blue\n")
    stage(monkeypatch, test)
    printed = capsys.readouterr()
    assert printed.out.splitlines()[-2:] == [r"  \x1b[31mred: 10 + 0", "  blue: 20 + 1"]
    assert printed.err.splitlines()[0] == r"warning: data/inputs/train.csv: no test document of class \x1b[31mred"
    assert printed.err.replace("\n", "").isprintable()


def test_the_only_document_of_a_class_stays_in_train(monkeypatch, capsys):
    """Everything is read twice then, and what is printed and listed is that of one reading."""
    rows = "".join(f"t{i},{'xy'[i % 2]}\n" for i in range(50))
    for only in range(30):  # one of some that the hash alone sends to test
        content = f"text,label\n{rows},x\nonly {only},z\n"
        Path("data/inputs/train.csv").write_text(content)
        stage(monkeypatch, {"skip_empty": True, "test_fraction": 0.5})
        assert {"text": f"only {only}", "label": "z"} in read("train")
        assert len(read("train")) + len(read("test")) == 51
        printed = capsys.readouterr()
        assert printed.out.splitlines()[0] == "data/inputs/train.csv: 52 rows read; 1 without text; 51 kept"
        assert printed.err == "warning: data/inputs/train.csv: no test document of class z\n"
        assert Path("data/checks/rejected.csv").read_text().count("\n") == 2


def test_columns_that_are_kept_stand_in_both_splits(monkeypatch):
    lines = [json.dumps({"text": f"t{i}", "label": "xy"[i % 2], "meta": {"id": i}, "note": None}) for i in range(50)]
    Path("data/inputs/train.jsonl").write_text("\n".join(lines))
    stage(monkeypatch, {"train": "data/inputs/train.jsonl", "keep": ["note"]})
    rows = read("train") + read("test")
    assert {tuple(row) for row in rows} == {("text", "label", "note")}
    corpus = Corpus("raw/test.parquet")
    assert corpus.kept == ["note"]
    batches = list(corpus.kept_columns())
    assert sum(len(batch) for batch in batches) == len(corpus)
    assert batches[0].schema.field("note").type == "string"
    stage(monkeypatch, {"train": "data/inputs/train.jsonl"})
    assert (Corpus("raw/test.parquet").kept, list(Corpus("raw/test.parquet").kept_columns())) == ([], [])


def test_which_labels_are_a_class_is_known_later(monkeypatch):
    Path("data/inputs/train.csv").write_text("text,label\n" + "".join(f"t{i},{i % 5 + 1}\n" for i in range(50)))
    classes = {1: "bad", 2: "bad", 3: "so-so", 4: "good", 5: "good"}
    stage(monkeypatch, {"classes": classes})
    corpus = Corpus("raw/train.parquet")
    assert corpus.classes == ["bad", "so-so", "good"]
    assert corpus.class_of == {str(label): name for label, name in classes.items()}
    assert set(corpus.origin) == {"source", "checksums"}
    stage(monkeypatch, {"classes": {label: str(label) for label in classes}})
    assert Corpus("raw/train.parquet").class_of == {name: name for name in "12345"}


def test_a_failed_run_leaves_what_was_there(monkeypatch):
    Path("data/inputs/train.csv").write_text("text,label\n" + "".join(f"t{i},{i % 2}\n" for i in range(50)))
    stage(monkeypatch, {})
    before = [Path(f"raw/{split}.parquet").read_bytes() for split in ("train", "test")]
    Path("data/inputs/train.csv").write_text("text,label\n" + "".join(f"t{i},{i % 2}\n" for i in range(50)) + "t,\n")
    with pytest.raises(UserError, match="no label in row 52; "):
        stage(monkeypatch, {})
    assert [Path(f"raw/{split}.parquet").read_bytes() for split in ("train", "test")] == before
    assert len(list(Path("raw").iterdir())) == 2


def test_the_script_ends_on_one_line():
    values = YAML(typ="safe").load(PROJECT / "params.yaml")
    values["data"]["source"] = "own"
    values["sources"]["own"] = {"train": "a.csv", "md5": {"train": "0" * 32}}
    YAML().dump(values, Path("params.yaml"))
    done = subprocess.run(
        [sys.executable, SCRIPT, "--train", "raw/train.parquet", "--test", "raw/test.parquet"],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr == (
        "error: a.csv: no such file; sources.own.train is to be a path from the project's folder, or a URL\n"
    )
    assert done.stdout == ""


def test_pydocs(monkeypatch, project):
    """A source of docstrings through the same contract; the whole corpus is in test_pydocs."""
    for name, word in (("one_lib", "array"), ("two_lib", "frame")):
        lines = [f'"""Return the {word} number {i}, {"which was found somewhere, " * 3}"""' for i in range(40)]
        body = "".join(f"def f{i}():\n    {line}\n" for i, line in enumerate(lines))
        (project / f"{name}.py").write_text(body)
    monkeypatch.syspath_prepend(project)
    stage(monkeypatch, {"format": "pydocs", "packages": {"Two": "two_lib", "One": "one_lib"}})
    assert Corpus("raw/train.parquet").classes == ["Two", "One"]
    assert len(read("train")) + len(read("test")) == 80
    assert {row["label"] for row in read("train") if "array" in row["text"]} == {"One"}
