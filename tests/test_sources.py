from hashlib import blake2b

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaxtext.config.data import Data, FileSource
from flaxtext.core.errors import UserError
from flaxtext.download.sources import open_source
from flaxtext.download.splits import HashSplit, ReadAgain


def documents(path, content: bytes | str, **source) -> list[tuple[str, str, str]]:
    """Read a source; `path` is its file's, in the project's data/inputs or elsewhere."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read(Data(source="own"), train=str(path), **source)


def read(data: Data, rejected: list | None = None, sieves: list | None = None, **source) -> list[tuple]:
    """Split, text, label and kept columns of each document; what was left out goes to `rejected`."""
    with open_source(data, FileSource(**source)) as opened:
        try:
            found, left_out = read_once(opened)
        except ReadAgain:
            found, left_out = read_once(opened)
    if rejected is not None:
        rejected += left_out
    if sieves is not None:
        sieves += opened.sieves
    return found


def read_once(opened) -> tuple[list[tuple], list[tuple]]:
    left_out = []
    batches = [(split, batch.to_pydict()) for split, batch in opened.read(lambda *row: left_out.append(row))]
    return [(split, *row) for split, batch in batches for row in zip(*batch.values(), strict=True)], left_out


def message(path, content: bytes | str, **source) -> str:
    with pytest.raises(UserError) as caught:
        documents(path, content, **source)
    return str(caught.value).replace(f"{path.parent}/", "")


SKIP = "set sources.own.skip_empty: true to leave out rows without text or label"


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("a,x\nb\n", "row 3: expected 2 fields, found 1: 'b'; quote fields with delimiters or line breaks"),
        ('"a\na",x\nb,x,y', "row 3: expected 2 fields, found 3: 'b,x,y'; quote fields with delimiters or line breaks"),
        (
            '"a\na",x\n\nb,z\n',
            "label 'z' in row 4 is not one of x, y; correct the file or add the label to sources.own.classes",
        ),
        ("a,x\nb,\n", f"no label in row 3; correct the file or {SKIP}"),
        ("a,x\nb, \u200b\n", f"no label in row 3; correct the file or {SKIP}"),
        ("a,x\n,y\n", f"no text in row 3; correct the file or {SKIP}"),
        ('a,x\n" \n\u3000",y\n', f"no text in row 3; correct the file or {SKIP}"),
        (
            "a,x\n,y\nb,\n\nc,Z\n ,y\nd,Z\ne,v\n,\n",
            "no text in rows 3, 7 (2 in all); no label in row 4; label 'Z', 'v' in rows 6, 8, 9 (3 in all) are not one "
            f"of x, y; correct the file, {SKIP} or add the label to sources.own.classes",
        ),
        (
            "a,x\n" + ",y\n" * 1500,
            f"no text in rows {', '.join(map(str, range(3, 23)))}, ... (1,500 in all); correct the file or {SKIP}",
        ),
        (
            "a,\x1b[31m" + "z" * 50 + "\n",
            f"label '\\x1b[31m{'z' * 27}...' in row 2 is not one of x, y; correct the file or add the label to "
            "sources.own.classes",
        ),
        ("", "no documents in the file"),
        ("\n\n", "no documents in the file: 2 rows read; 2 blank"),
    ],
)
def test_bad_rows(tmp_path, rows, expected):
    assert message(tmp_path / "a.csv", f"text,label\n{rows}", classes=["x", "y"]) == f"a.csv: {expected}"


def test_the_bad_rows_of_both_files_are_a_line_each(tmp_path):
    (tmp_path / "b.csv").write_text("text,label\n,x\nb,w\n")
    found = message(tmp_path / "a.csv", "text,label\na,x\nb,y\nc,\n", test=str(tmp_path / "b.csv"))
    assert found.splitlines() == [
        f"a.csv: no label in row 4; correct the file or {SKIP}",
        f"b.csv: no text in row 2; label 'w' in row 3 is not one of x, y; correct the file, {SKIP} or add the label to "
        "sources.own.classes",
    ]


CONTENT = "text,label\na,x\n,y\n\nb,\n , \nc,y\n"
FILES = {
    "csv": CONTENT,
    "tsv": CONTENT.replace(",", "\t"),
    "jsonl": '{"text": "a", "label": "x"}\n{"text": null, "label": "y"}\n\n{"text": "b", "label": null}\n'
    '{"text": " ", "label": ""}\n{"text": "c", "label": "y"}\n',
}


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet"])
def test_rows_without_text_or_label_are_left_out_where_that_is_asked_for(tmp_path, ending):
    path, rejected, sieves = tmp_path / f"a.{ending}", [], []
    if ending == "parquet":
        columns = {"text": ["a", None, None, "b", " ", "c"], "label": ["x", "y", None, None, "", "y"]}
        pq.write_table(pa.table(columns), path)
    else:
        path.write_text(FILES[ending])
    options = {"train": str(path), "test": str(path), "skip_empty": True}
    found = read(Data(source="own"), rejected, sieves, **options)
    assert found == [(split, *row) for split in ("train", "test") for row in [("a", "x"), ("c", "y")]]
    first = 2 if ending in ("csv", "tsv") else 1
    own = [(str(path), first + 1, "without text", "y", ""), (str(path), first + 3, "without label", "", "b")]
    assert rejected == [*own, *own]
    counts = "6 rows read; 2 blank, 1 without text, 1 without label; 2 kept"
    assert [sieve.summary() for sieve in sieves] == [f"{path}: {counts}"] * 2


def test_classes_come_from_the_rows_that_are_kept(tmp_path):
    content = "text,label\n" + "a,x\n,z\nb,y\n" * 3
    found = documents(tmp_path / "a.csv", content, test=str(tmp_path / "a.csv"), skip_empty=True)
    assert {label for _, _, label in found} == {"x", "y"}


def test_a_label_that_is_unknown_is_never_left_out(tmp_path):
    assert message(tmp_path / "a.csv", "text,label\na,x\nb,y\nc,z\n", classes=["x", "y"], skip_empty=True) == (
        "a.csv: label 'z' in row 4 is not one of x, y; correct the file or add the label to sources.own.classes"
    )


def test_counts_where_nothing_is_left_out(tmp_path):
    (tmp_path / "a.csv").write_text("text,label\na,x\nb,y\n")
    sieves = []
    read(Data(source="own"), None, sieves, train=str(tmp_path / "a.csv"), test=str(tmp_path / "a.csv"))
    assert sieves[0].summary() == f"{tmp_path}/a.csv: 2 rows read; 2 kept"
    assert sieves[0].notes() == []


def test_labels_are_cleaned_and_that_is_said(tmp_path):
    dirty = [
        "sport",
        "sport ",
        "\u00a0sport",
        "spo\u200brt\u3000",
        "\ufeffsport",
        "caf\u00e9",
        "cafe\u0301",
        "cafe\u0301 ",
    ]
    dirty += ["می\u200cخواهم", "می\u200cخواهم\u200c"]  # a joiner within a word shapes it
    (tmp_path / "a.csv").write_text("text,label\n" + "".join(f"t{i},{label}\n" for i, label in enumerate(dirty)))
    sieves = []
    options = {"train": str(tmp_path / "a.csv"), "test": str(tmp_path / "a.csv")}
    found = read(Data(source="own"), None, sieves, **options)
    assert [label for _, _, label in found[:10]] == ["sport"] * 5 + ["café"] * 3 + ["می\u200cخواهم"] * 2
    assert sieves[0].notes() == [
        f"note: {tmp_path}/a.csv: white space or invisible characters removed around or in 6 labels; accents composed "
        "in 2 labels"
    ]
    named = read(Data(source="own"), **options, classes={" sport": "S", "cafe\u0301\u200b": "C", "می\u200cخواهم": "M"})
    assert [label for _, _, label in named[:10]] == ["S"] * 5 + ["C"] * 3 + ["M"] * 2


def test_a_document_that_holds_others_is_warned_about(tmp_path):
    rows = [f"word {i},x" if i % 2 else f"word {i},y" for i in range(100)]
    rows[40:40] = ['"' + "line\n" * 2000 + '",x']
    (tmp_path / "a.csv").write_text("text,label\n" + "\n".join(rows))
    sieves = []
    read(Data(source="own"), None, sieves, train=str(tmp_path / "a.csv"))
    assert sieves[0].notes() == [
        f"warning: {tmp_path}/a.csv: row 42 has 10,000 characters, over a thousand times the median (7): does it hold "
        "other rows, for a quote that is not closed?"
    ]


def test_several_labels_may_be_one_class(tmp_path):
    content = "text,label\n" + "".join(f"t{stars},{stars}\n" for stars in (5, 1, 4, 2))
    classes = {1: "bad", 2: "bad", 4: "good", 5: "good"}
    path = tmp_path / "a.csv"
    path.write_text(content)
    source = FileSource(train=str(path), test=str(path), classes=classes)
    with open_source(Data(source="own"), source) as opened:
        assert opened.classes.names == ["bad", "good"]
        assert opened.classes.renamed == {"1": "bad", "2": "bad", "4": "good", "5": "good"}
        assert [label for _, _, label in read_once(opened)[0][:4]] == ["good", "bad", "good", "bad"]


def test_own_columns_are_kept(tmp_path):
    path = tmp_path / "a.jsonl"
    lines = [
        '{"text": "a", "label": "x", "id": 1, "meta": {"lang": "en"}}',
        '{"text": "b", "label": "y", "id": null, "meta": {"lang": "de"}}',
    ]
    path.write_text("\n".join(lines))
    found = read(Data(source="own"), train=str(path), test=str(path), keep=["id"])
    assert found[:2] == [("train", "a", "x", "1"), ("train", "b", "y", None)]
    (tmp_path / "b.csv").write_text("a,x,7\nb,y,\n")
    source = {"header": False, "text": 1, "label": 2, "keep": [3]}
    with open_source(Data(source="own"), FileSource(train=str(tmp_path / "b.csv"), **source)) as opened:
        assert opened.keep == ["3"]
        batches = [batch for _, batch in opened.read(print)]
    assert all(batch.schema.names == ["text", "label", "3"] for batch in batches)
    assert {tuple(row.values()) for batch in batches for row in batch.to_pylist()} == {("a", "x", "7"), ("b", "y", "")}


def test_bad_files(tmp_path):
    assert message(tmp_path / "a.csv", "") == "a.csv: the file is empty"
    assert message(tmp_path / "a.csv", "title,label\na,x\n") == "a.csv: no column 'text'; there are title, label"
    assert message(tmp_path / "a.csv", b"text,label\na,x\ncaf\xe9,x\n") == (
        r"a.csv: row 3: not UTF-8: b'caf\xe9'; save the file as UTF-8, or name its encoding, such as encoding: cp1252"
    )
    assert message(tmp_path / "a.csv", b"text,label\na,x\nb,\xe9\n") == (
        r"a.csv: row 3: not UTF-8: b'\xe9'; save the file as UTF-8, or name its encoding, such as encoding: cp1252"
    )
    assert message(tmp_path / "a.txt", "text,label\na,x\n") == (
        "a.txt: unknown ending; set sources.own.format to csv, tsv, jsonl or parquet"
    )
    numbers = "\n".join(f"a,{number}" for number in range(5001))
    advice = (
        "is column 'label' the label column? Correct sources.own.label; if it is, list the classes in "
        "sources.own.classes"
    )
    assert message(tmp_path / "a.csv", f"text,label\n{numbers}") == (
        f"a.csv: more than 5,000 different labels, such as '0', '1', '2', '3', '4': {advice}"
    )
    labels = "\n".join(f"a,{'text ' * 20}{number}" for number in range(30))
    shown = ", ".join(["'text text text text text text text ...'"] * 5)
    assert message(tmp_path / "a.csv", f"text,label\n{labels}") == (
        f"a.csv: 30 different labels in 30 rows, such as {shown}: {advice}"
    )


def test_many_classes_of_two_documents_each_are_classes(tmp_path):
    content = "text,label\n" + "".join(f"text {i},{i % 5000}\n" for i in range(10_000))
    found = documents(tmp_path / "a.csv", content)
    in_train = {label for name, _, label in found if name == "train"}
    assert (len(found), len(in_train)) == (10_000, 5000)
    assert message(tmp_path / "b.csv", "text,label\n" + "".join(f"text {i},{i % 60}\n" for i in range(119))) == (
        "b.csv: 60 different labels in 119 rows, such as '0', '1', '2', '3', '4': is column 'label' the label column? "
        "Correct sources.own.label; if it is, list the classes in sources.own.classes"
    )


def test_a_mirror_stands_in_for_what_is_remote_alone(tmp_path):
    for folder, text in (("mirror", "the mirror's"), ("own", "our own")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "train.csv").write_text(f"text,label\n{text} one,x\n{text} two,y\n")
    data = Data(source="own", mirror=str(tmp_path / "mirror"))
    for train, whose in ((f"{tmp_path}/own/train.csv", "our own"), ("https://x.org/train.csv", "the mirror's")):
        assert {text for _, text, _ in read(data, train=train)} == {f"{whose} one", f"{whose} two"}


def test_missing_file_says_what_to_do(tmp_path):
    with pytest.raises(UserError) as caught:
        read(Data(source="own"), train=f"{tmp_path}/a.csv")
    assert str(caught.value) == (
        f"{tmp_path}/a.csv: no such file; sources.own.train is to be a path from the project's folder, or a URL"
    )
    with pytest.raises(UserError) as caught:
        read(Data(source="own", mirror=f"{tmp_path}/"), train="https://x.org/a.csv?raw=1", test="https://x.org/b.csv")
    assert str(caught.value) == (
        f"{tmp_path}/a.csv: no such file; data.mirror is to be a folder or URL that holds a.csv and b.csv"
    )


def test_texts_are_joined_by_one_space_and_kept_as_they_are(tmp_path):
    content = "title,body,label\n T ,b\tb ,1\n,only,2\n,,\n"
    found = documents(tmp_path / "a.csv", content, test=str(tmp_path / "a.csv"), text=["title", "body"])
    expected = [(" T  b\tb ", "1"), (" only", "2")]  # and the row of nothing is skipped
    assert found == [(split, *row) for split in ("train", "test") for row in expected]


LONG = "9" * 5000


@pytest.mark.parametrize(
    ("labels", "classes", "expected"),
    [
        (["b", "a", "b"], None, ["a", "b"]),
        (["10", "9", "-1"], None, ["-1", "9", "10"]),
        (["10", "9", "x"], None, ["10", "9", "x"]),
        (["10", "9", LONG], None, ["10", "9", LONG]),  # as text: no number of that length is a label
        (["9", LONG, "80"], None, ["80", "9", LONG]),
        (["a"], ["b", "a"], ["b", "a"]),
        (["1"], {2: "Two", "1": "One"}, ["Two", "One"]),
    ],
)
def test_order_of_classes(tmp_path, labels, classes, expected):
    (tmp_path / "a.csv").write_text("text,label\n" + "".join(f"t,{label}\n" for label in labels))
    with open_source(Data(source="own"), FileSource(train=str(tmp_path / "a.csv"), classes=classes)) as opened:
        assert opened.classes.names == expected


def test_labels_are_named(tmp_path):
    content = '{"text": "a", "label": 2}\n{"text": "b", "label": "1"}\n'
    found = documents(tmp_path / "a.jsonl", content, classes={1: "One", "2": "Two"})
    assert sorted(label for _, _, label in found) == ["One", "Two"]


def test_dvc_does_not_see_a_file_outside_of_its_dependencies(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "inputs").mkdir(parents=True)
    documents(tmp_path / "data/inputs/a.csv", "text,label\na,x\n")
    assert capsys.readouterr().err == ""
    documents(tmp_path / "a.csv", "text,label\na,x\n")
    assert capsys.readouterr().err == (
        f"warning: {tmp_path}/a.csv: DVC does not see when this file changes; "
        "put it into data/inputs/, or its MD5 into sources.own.md5.train\n"
    )


def split(texts: list[str], fraction: float, labels: list[int] | None = None, hash_split=None) -> dict[str, list[str]]:
    """What the first reading makes of documents; by default of one class each."""
    codes = pa.array(labels or range(len(texts)), pa.int32())
    names = pa.array(map(str, range(max([*codes.to_pylist(), 0]) + 1)))
    batch = pa.record_batch(
        {"text": pa.array(texts, pa.string()), "label": pa.DictionaryArray.from_arrays(codes, names)}
    )
    hash_split = hash_split or HashSplit(fraction, len(names))
    return {name: part["text"].to_pylist() for name, part in hash_split.split(batch)}


def hash_of(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def settled(rows: list[tuple[str, int]], fraction: float) -> dict[tuple[str, int], str]:
    """Where each document, text and label, ends up."""
    texts, labels = map(list, zip(*rows, strict=True))
    hash_split = HashSplit(fraction, 5)
    found = split(texts, fraction, labels, hash_split)
    try:
        hash_split.settle()
    except ReadAgain:
        found = split(texts, fraction, labels, hash_split)
    split_of = {text: name for name, own in found.items() for text in own}
    return {row: split_of[row[0]] for row in rows}


@given(st.lists(st.text()), st.lists(st.text()), st.floats(0.01, 0.99))
def test_added_rows_move_no_other_row(texts, added, fraction):
    before, after = split(texts, fraction), split(added + texts, fraction)
    for name in ("train", "test"):
        assert after[name][len(after[name]) - len(before[name]) :] == before[name]
    assert not set(after["train"]) & set(after["test"])


def test_split_is_the_published_hash_and_keeps_the_share_of_each_class():
    """The split of a text is part of the contract: another hash would move every user's rows."""
    texts = [f"{label} {i}" for label in "ab" for i in range(10_000)]
    parts = split(texts, 0.2)
    assert all(hash_of(text) < 2**64 // 5 for text in parts["test"])
    for label in "ab":
        share = sum(text[0] == label for text in parts["test"]) / 10_000
        assert share == pytest.approx(0.2, abs=0.012)  # three standard deviations


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 4)), min_size=1), st.floats(0.05, 0.95))
def test_each_class_keeps_a_document_in_train_and_nothing_else_moves(rows, fraction):
    texts, labels = map(list, zip(*rows, strict=True))
    hash_split = HashSplit(fraction, 5)
    first = split(texts, fraction, [*labels], hash_split)
    in_train = set(first["train"])
    alone = {label for label in labels if not any(own == label and text in in_train for text, own in rows)}
    if not alone:
        hash_split.settle()
        return
    with pytest.raises(ReadAgain):
        hash_split.settle()
    moved = {min((text for text, own in rows if own == label), key=hash_of) for label in alone}
    second = split(texts, fraction, [*labels], hash_split)
    hash_split.settle()
    assert second["train"] == [text for text in texts if text in in_train | moved]
    assert second["test"] == [text for text in texts if text not in in_train | moved]


def test_added_rows_move_documents_of_classes_that_were_all_in_test_alone():
    rng = np.random.default_rng(0)
    rows = [(f"{label} {i}", label) for label in range(5) for i in range([1, 2, 3, 10, 40][label])]
    moved = 0
    for run in range(300):
        own = [(f"{run} {text}", label) for text, label in rows]
        added = [(f"{run} new {i}", int(label)) for i, label in enumerate(rng.integers(0, 5, 20))]
        before, after = settled(own, 0.4), settled([*added, *own], 0.4)
        assert settled(own[::-1], 0.4) == before  # the order of rows does not matter
        changed = {label for (_, label), name in before.items() if after[_, label] != name}
        assert not changed & {3, 4}
        moved += len(changed)
    assert moved  # a class of one to three documents may be all in test until others join it


def test_a_class_of_one_document_keeps_it_in_train(tmp_path):
    text = next(f"t{i}" for i in range(100) if split([f"t{i}"], 0.5)["test"])
    content = "text,label\n" + "".join(f"a{i},{'xy'[i % 2]}\n" for i in range(40)) + f"{text},neu\n"
    found = documents(tmp_path / "a.csv", content, test_fraction=0.5)
    assert ("train", text, "neu") in found
    before = documents(tmp_path / "a.csv", content.replace(f"{text},neu", f"{text},x"), test_fraction=0.5)
    assert ("test", text, "x") in before
    assert [row for row in found if row[1] != text] == [row for row in before if row[1] != text]
