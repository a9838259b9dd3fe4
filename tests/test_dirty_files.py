"""A file as people save it gives the documents of a clean one, and so the same model and figures."""

import csv
import gzip
import io
import json
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import run_here
from conftest import PROJECT
from ruamel.yaml import YAML

WORDS = {
    "café": ["espresso", "crème brûlée", "tea", 'so-called "latte"', "tasse", 'a 12" cake', "menu"],
    "sport": ["match", "Fußball", "goal", 'the "final"', "ball", "coach", "cup"],
    "money": ["bank", "£5", "loan", "rate", '"bull" market', "bond", "menu"],
}


def clean_rows(count=300):
    """Texts with quotes in them, which cp1252 and an unquoted TSV can hold, and their labels."""
    rng = random.Random(0)  # noqa: S311
    labels = list(WORDS)
    return [(" ".join(rng.choices(WORDS[labels[i % 3]], k=rng.randint(3, 9))), labels[i % 3]) for i in range(count)]


def as_csv(rows, delimiter=",", line_end="\n"):
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=line_end)
    writer.writerows([("text", "label"), *rows])
    return text.getvalue()


def with_empty(rows, share=0.03):
    """Rows without text, without label, without both, among the others."""
    rng = random.Random(1)  # noqa: S311
    dirty = list(rows)
    for i in range(round(share * len(rows))):
        dirty.insert(rng.randrange(len(dirty)), [("", "sport"), ("tea and cake", " \u00a0"), (" ", "")][i % 3])
    return dirty


def with_stray_space(rows):
    """Labels with what does not show around them, in them, and in pieces."""
    forms = [str, " {}".format, "{} ".format, "\u00a0{}\u200b".format, "\ufeff{}\t".format]
    forms += [lambda label: label.replace("é", "e\u0301"), lambda label: f"{label[:2]}\u00ad{label[2:]}"]
    return [(text, forms[i % len(forms)](label)) for i, (text, label) in enumerate(rows)]


@dataclass(frozen=True)
class Dirty:
    """A file's content, what it is called, and what the source is to say of it."""

    content: bytes
    options: dict[str, Any] = field(default_factory=dict)
    ending: str = "csv"


def dirty_files():
    rows = clean_rows()
    unquoted = "text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in rows)
    stray = as_csv(with_stray_space(rows))
    lines = "\ufeff" + "".join(json.dumps({"meta": {"text": own, "label": label}}) + "\r\n" for own, label in rows)
    parquet = pa.BufferOutputStream()
    nulls = [(text or None, label or None) for text, label in with_empty(rows)]
    pq.write_table(pa.table(list(map(list, zip(*nulls, strict=True))), names=["text", "label"]), parquet)
    return {
        "BOM": Dirty(as_csv(rows).encode("utf-8-sig")),
        "CRLF": Dirty(as_csv(rows, line_end="\r\n").encode()),
        "CR": Dirty(as_csv(rows, line_end="\r").encode()),
        "as Excel saves it": Dirty(as_csv(rows, ";", "\r\n").encode("utf-8-sig")),
        "semicolons": Dirty(as_csv(rows, ";").encode()),
        "pipes, and said so": Dirty(as_csv(rows, "|").encode(), {"delimiter": "|"}),
        "tabs in .csv": Dirty(as_csv(rows, "\t").encode()),
        "an odd delimiter": Dirty(as_csv(rows, "^").encode(), {"delimiter": "^"}),
        "UTF-16": Dirty(as_csv(rows).encode("utf-16")),
        "UTF-16, big end first": Dirty(("\ufeff" + as_csv(rows, "\t", "\r\n")).encode("utf-16-be"), {}, "tsv"),
        "cp1252": Dirty(as_csv(rows).encode("cp1252"), {"encoding": "cp1252"}),
        "gzip": Dirty(gzip.compress(as_csv(rows).encode(), mtime=0), {}, "csv.gz"),
        "unquoted TSV": Dirty(unquoted.encode(), {}, "tsv"),
        "unquoted TSV, and said so": Dirty(unquoted.encode(), {"quoting": "none"}, "tsv"),
        "quoted TSV": Dirty(as_csv(rows, "\t").encode(), {}, "tsv"),
        "empty rows": Dirty(as_csv(with_empty(rows)).encode(), {"skip_empty": True}),
        "nulls": Dirty(parquet.getvalue().to_pybytes(), {"skip_empty": True}, "parquet"),
        "stray space": Dirty(stray.encode()),
        "stray space, classes named": Dirty(stray.encode(), {"classes": ["cafe\u0301 ", "money", "sport"]}),
        "nested keys": Dirty(lines.encode(), {"text": "meta.text", "label": "meta.label"}, "jsonl"),
        "everything": Dirty(
            as_csv(with_stray_space(with_empty(rows)), ";", "\r\n").encode("utf-16"), {"skip_empty": True}
        ),
    }


FILES = dirty_files()


def set_source(dirty, **sections):
    """Write a file into the project that is the working directory, and name it."""
    path = Path("data/inputs", f"file.{dirty.ending}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(dirty.content)
    values = YAML(typ="safe").load(PROJECT / "params.yaml")
    values["data"]["source"] = "own"
    values["sources"]["own"] = {"train": str(path), **dirty.options}
    for name, changes in sections.items():
        values[name] = values[name] | changes
    YAML().dump(values, Path("params.yaml"))


def documents():
    return {split: pq.read_table(f"data/raw/{split}.parquet").select(["text", "label"]) for split in ("train", "test")}


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(tmp_path_factory.mktemp("clean"))
        set_source(Dirty(as_csv(clean_rows()).encode()))
        run_here(monkeypatch, "download")
        found = documents()
    assert sum(map(len, found.values())) == 300
    assert sorted(zip(*pa.concat_tables(found.values()).to_pydict().values(), strict=True)) == sorted(clean_rows())
    return found


@pytest.mark.parametrize("name", FILES)
def test_documents_are_those_of_the_clean_file(name, clean, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    set_source(FILES[name])
    run_here(monkeypatch, "download")
    assert {split: table.to_pydict() for split, table in documents().items()} == {
        split: table.to_pydict() for split, table in clean.items()
    }
    assert documents()["train"].schema.equals(clean["train"].schema)
    for split, table in documents().items():
        assert table["label"].chunk(0).dictionary.equals(clean[split]["label"].chunk(0).dictionary)


@pytest.mark.slow
def test_figures_are_those_of_the_clean_file(tmp_path, monkeypatch):
    """To the last digit, from download to evaluate."""
    variants = {
        "average_8": {"pooling": "mean", "embed_dim": 8, "epochs": 2, "batch_size": 64},
        "linear": {"model": "linear", "ngrams": 2},
    }
    found = []
    for number, dirty in enumerate([Dirty(as_csv(clean_rows()).encode()), FILES["everything"], FILES["unquoted TSV"]]):
        folder = tmp_path / str(number)
        folder.mkdir()
        monkeypatch.chdir(folder)
        set_source(dirty, variants={}, train={"min_steps": 0})
        values = YAML(typ="safe").load(Path("params.yaml"))
        YAML().dump(values | {"variants": variants}, Path("params.yaml"))
        for stage in ("download", "build_vocab", "check", "vectorize"):
            run_here(monkeypatch, stage)
        for variant in variants:
            run_here(monkeypatch, "train", variant)
            run_here(monkeypatch, "evaluate", variant)
        names = [f"metrics/{name}.json" for name in ("data", *variants)]
        predictions = [pq.read_table(f"data/predictions/{variant}.parquet") for variant in variants]
        probabilities = [np.stack(table["probabilities"].to_numpy()) for table in predictions]
        found.append([Path(name).read_bytes() for name in names] + [array.tobytes() for array in probabilities])
    assert found[1] == found[0]
    assert found[2] == found[0]


def test_a_file_whose_name_does_not_tell_needs_no_more_than_its_format(tmp_path, monkeypatch, clean):
    monkeypatch.chdir(tmp_path)
    set_source(Dirty(as_csv(clean_rows()).encode(), {"format": "csv"}, "data"))
    run_here(monkeypatch, "download")
    assert documents()["test"].to_pydict() == clean["test"].to_pydict()
