from hashlib import blake2b

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaxtext.config.data import Data, FileSource
from flaxtext.core.errors import UserError
from flaxtext.download.sources import _labels, open_source, split_by_hash
from flaxtext.io.table import Table


def documents(path, content: bytes | str, **source) -> list[tuple[str, str, str]]:
    """Read a source; `path` is its file's, in the project's data/inputs or elsewhere."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read(Data(source="own"), train=str(path), **source)


def read(data: Data, **source) -> list[tuple[str, str, str]]:
    with open_source(data, FileSource(**source)) as opened:
        return [
            (split, text, label)
            for split, batch in opened.batches
            for text, label in zip(batch["text"].to_pylist(), batch["label"].to_pylist(), strict=True)
        ]


def message(path, content: bytes | str, **source) -> str:
    with pytest.raises(UserError) as caught:
        documents(path, content, **source)
    return str(caught.value).replace(f"{path.parent}/", "")


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("a,x\nb\n", "row 3: expected 2 fields, found 1: 'b'; quote fields with delimiters or line breaks"),
        ('"a\na",x\nb,x,y', "row 3: expected 2 fields, found 3: 'b,x,y'; quote fields with delimiters or line breaks"),
        ('"a\na",x\n\nb,z\n', "row 4: label 'z' is not one of x, y; correct the row, or classes"),
        ("a,x\nb,\n", "row 3: no label for the text 'b'; add it, or remove the row"),
        ("a,x\nb, \n", "row 3: no label for the text 'b'; add it, or remove the row"),
        ("a,x\n,y\n", "row 3: empty text, of label 'y'; remove the row"),
        ('a,x\n" \n\u3000",y\n', "row 3: empty text, of label 'y'; remove the row"),
        ("", "no documents in the file"),
    ],
)
def test_bad_rows(tmp_path, rows, expected):
    assert message(tmp_path / "a.csv", f"text,label\n{rows}", classes=["x", "y"]) == f"a.csv: {expected}"


def test_bad_files(tmp_path):
    assert message(tmp_path / "a.csv", "") == "a.csv: the file is empty"
    assert message(tmp_path / "a.csv", "title,label\na,x\n") == "a.csv: no column 'text'; there are title, label"
    assert message(tmp_path / "a.csv", b"text,label\na,x\ncaf\xe9,x\n") == (
        r"a.csv: row 3: not UTF-8: b'caf\xe9'; save the file as UTF-8"
    )
    assert message(tmp_path / "a.csv", b"text,label\na,x\nb,\xe9\n") == (
        r"a.csv: row 3: not UTF-8: b'\xe9'; save the file as UTF-8"
    )
    assert message(tmp_path / "a.txt", "text,label\na,x\n") == (
        "a.txt: unknown ending; set sources.own.format to csv, tsv, jsonl or parquet"
    )
    numbers = "\n".join(f"a,{number}" for number in range(1001))
    assert message(tmp_path / "a.csv", f"text,label\n{numbers}") == (
        "a.csv: more than 1,000 different labels in column 'label'; is it the label column? If it is, list the classes"
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


@pytest.mark.parametrize(
    ("content", "classes", "expected"),
    [
        ("b\na\nb\n", None, ["a", "b"]),
        ("10\n9\n-1\n", None, ["-1", "9", "10"]),
        ("10\n9\nx\n", None, ["10", "9", "x"]),
        ("a\n", ["b", "a"], ["b", "a"]),
        ("a\n", {2: "Two", "1": "One"}, ["2", "1"]),
    ],
)
def test_labels(tmp_path, content, classes, expected):
    (tmp_path / "a.csv").write_text(f"label\n{content}")
    source = FileSource(train="a.csv", classes=classes)
    assert _labels(Table("a.csv", tmp_path / "a.csv", "csv"), source) == expected


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


def split(texts: list[str], fraction: float) -> dict[str, list[str]]:
    batch = pa.record_batch({"text": pa.array(texts, pa.string())})
    return {name: part["text"].to_pylist() for name, part in split_by_hash(batch, fraction)}


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
    assert all(int.from_bytes(blake2b(t.encode(), digest_size=8).digest(), "big") < 2**64 // 5 for t in parts["test"])
    for label in "ab":
        share = sum(text[0] == label for text in parts["test"]) / 10_000
        assert share == pytest.approx(0.2, abs=0.012)  # three standard deviations
