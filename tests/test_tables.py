import gzip
import json
import os
import subprocess
import sys
import threading

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import PROJECT
from hypothesis import given
from hypothesis import strategies as st

from flaxtext.core.errors import UserError
from flaxtext.io import csv, streams
from flaxtext.io.reading import Frame, read_frames
from flaxtext.io.table import Options, Table, format_of

SAVE = "save the file as UTF-8, or name its encoding, such as encoding: cp1252"
BIG = "line\n" * 200_000  # a field of 1 MB


def table(path, content: bytes, format="csv", **options) -> Table:  # noqa: A002
    path.write_bytes(content)
    return Table("f", path, format, Options(**options))


def rows(source: Table, *columns) -> list[tuple]:
    frames = list(read_frames(source, columns))
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert all(frame.rows is None for frame in frames)
    return [row for frame in frames for row in zip(*(column.to_pylist() for column in frame.columns), strict=True)]


def kept(source: Table, *columns, keep="batch") -> list[Frame]:
    """Read whole rows, and check that the columns asked for are the same as without the others."""
    frames = list(read_frames(source, columns, keep))
    alone = list(read_frames(source, columns))
    assert [list(frame.numbers) for frame in frames] == [list(frame.numbers) for frame in alone]
    assert [frame.columns for frame in frames] == [frame.columns for frame in alone]
    return frames


def numbers(source: Table, *columns) -> list[int]:
    return [number for frame in read_frames(source, columns) for number in frame.numbers]


def message(source: Table, *columns, keep=("nothing", "batch", "records")) -> str:
    """Say what is raised, the same whatever is kept of the rows."""
    said = set()
    for one in keep:
        with pytest.raises(UserError) as caught:
            list(read_frames(source, columns, one))
        said.add(str(caught.value))
    [only] = said
    assert "\n" not in only
    return only


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.csv", "csv"),
        ("A.TSV", "tsv"),
        ("a.jsonl.gz", "jsonl"),
        ("a.v2.pq", "parquet"),
        ("a.txt", None),
        ("gz", None),
    ],
)
def test_format_of(name, expected):
    assert format_of(name) == expected


def test_csv(tmp_path):
    content = b'id,text,label\r\n1,"a ""b"",\r\nc",x\r\n2,d,y\r\n'
    assert rows(table(tmp_path / "f", content), "label", "text") == [("x", 'a "b",\r\nc'), ("y", "d")]
    assert rows(table(tmp_path / "f", b"\xef\xbb\xbf" + content), "id") == [("1",), ("2",)]
    assert rows(table(tmp_path / "f", gzip.compress(content)), "id") == [("1",), ("2",)]
    assert rows(table(tmp_path / "f", content.replace(b",", b"\t"), format="tsv"), "id") == [("1",), ("2",)]


def test_line_ends_in_quotes_stay_wherever_arrow_parts_its_blocks(tmp_path, monkeypatch):
    """Where a block of Arrow's ends with CR, it takes the LF that follows for the same line end, in quotes as well."""
    monkeypatch.setattr(csv, "CACHED", 100)
    for shift in range(100):
        texts = ["x" * shift, *["word\r\n" * 9] * 9]
        content = "text,a\n" + "".join(f'"{text}",1\n' for text in texts)
        assert rows(table(tmp_path / "f", content.encode()), "text") == [(text,) for text in texts]


def test_csv_without_header(tmp_path):
    assert rows(table(tmp_path / "f", b"1,a,b\n2,c,d", header=False), 3, 1, 3) == [("b", "1", "b"), ("d", "2", "d")]


def test_csv_takes_nothing_for_missing(tmp_path):
    assert rows(table(tmp_path / "f", b"t,l\nNA,null\nnan,\n"), "t", "l") == [("NA", "null"), ("nan", "")]


def test_row_numbers_across_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(streams, "BLOCK", 1000)
    good = b'1,"x\ny",z\n\n'  # a blank line is a row
    source = table(tmp_path / "f", b"a,b,c\n" + good * 500)
    firsts = [frame.numbers[0] for frame in read_frames(source, ["a"])]
    assert len(firsts) > 5
    counts = [len(frame.columns[0]) for frame in read_frames(source, ["a"])]
    assert firsts == [2 + sum(counts[:i]) for i in range(len(counts))]
    assert sum(counts) == 1000
    assert numbers(source, "a") == list(range(2, 1002))

    assert message(table(tmp_path / "f", b"a,b,c\n" + good * 500 + b"1,2\n" + good), "a") == (
        "f: row 1002: expected 3 fields, found 2: '1,2'; quote fields with delimiters or line breaks"
    )
    assert message(table(tmp_path / "f", good * 500 + b"1,\xe9t\xe9,3\n" + good, header=False), 2) == (
        rf"f: row 1001: not UTF-8: b'\xe9t\xe9'; {SAVE}"
    )
    monkeypatch.setattr(streams, "MAX_RECORD", 2000)
    too_long = "longer than 2,000 bytes; is a quote not closed?"
    long = b'1,"' + b"x" * 4000 + b'",3\n'
    assert message(table(tmp_path / "f", b"a,b,c\n" + good * 5 + long), "a") == f"f: row 12: {too_long}"
    for header in (True, False):
        source = table(tmp_path / "f", long + b"1,2,3\n", header=header)
        assert message(source, "a") == f"f: row 1: {too_long}"


def test_fields_of_a_megabyte(tmp_path):
    row = f'1,"{BIG}",z\n'.encode()
    assert rows(table(tmp_path / "f", b"a,b,c\n" + row * 40), "b") == [(BIG,)] * 40
    line = json.dumps({"b": BIG}).encode() + b"\n"
    assert rows(table(tmp_path / "f", line * 40, format="jsonl"), "b") == [(BIG,)] * 40


def test_csv_columns(tmp_path):
    source = table(tmp_path / "f", b"a,b,b\n1,2,3\n")
    assert message(source, "text") == "f: no column 'text'; there are a, b, b"
    assert message(source, "b") == "f: 2 columns are called 'b'; rename them"
    assert message(source, "a", keep=["batch"]) == "f: 2 columns are called 'b'; rename them"
    assert rows(source, "a") == [("1",)]
    assert message(table(tmp_path / "f", b"1,2\n", header=False), 3) == "f: no column 3; there are 1, 2"
    assert message(table(tmp_path / "f", b"a,\xe9\n1,2\n"), "a") == rf"f: row 1: not UTF-8: b'\xe9'; {SAVE}"


def test_csv_of_a_header_alone(tmp_path):
    assert rows(table(tmp_path / "f", b"a,b\n"), "a") == []
    assert rows(table(tmp_path / "f", b"a,b"), "a") == []
    assert message(table(tmp_path / "f", b""), "a") == "f: the file is empty"
    assert message(table(tmp_path / "f", gzip.compress(b"")), "a") == "f: the file is empty"


def test_a_csv_file_is_opened_once(tmp_path, monkeypatch):
    """Its names, its rows and its errors come from one pass, as a pipe must be read, gzip or not."""
    good = b"a,b\n" + b'"x",y\n' * 2000
    monkeypatch.setattr(streams, "BLOCK", 1000)
    for content in (good, gzip.compress(good)):
        source = Table("f", tmp_path / "pipe", "csv")
        for keep in ("nothing", "batch"):
            os.mkfifo(source.path)
            writer = threading.Thread(target=source.path.write_bytes, args=[content], daemon=True)
            writer.start()
            frames = list(read_frames(source, ["b"], keep))
            writer.join()
            source.path.unlink()
            assert sum(len(frame.numbers) for frame in frames) == 2000
            assert frames[-1].numbers[-1] == 2001


@pytest.mark.parametrize("bad", [b"", b"1,2\n"], ids=["good", "bad"])
def test_a_reading_that_stops_early_lets_the_process_end(tmp_path, bad):
    """What was begun ahead of the caller neither holds the process up nor ends it."""
    path = tmp_path / "f"
    path.write_bytes(gzip.compress(b"1,x,y\n" + bad + b"".join(b"%d,x,y\n" % i for i in range(3_000_000)), 1))
    program = (
        "import sys; from pathlib import Path; from flaxtext.core.startup import run_script\n"
        "from flaxtext.io.reading import read_frames; from flaxtext.io.table import Options, Table\n"
        "def main():\n"
        "    frames = read_frames(Table('f', Path(sys.argv[1]), 'csv', Options(header=False)), [1])\n"
        "    print(next(frames).numbers[0], next(frames).index)\n"
        "run_script(main)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, path], cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == (1 if bad else 0)
    said = "error: f: row 2: expected 3 fields, found 2: '1,2'; quote fields with delimiters or line breaks\n"
    assert (ran.stdout, ran.stderr) == (("", said) if bad else ("1 1\n", ""))


def test_whole_rows_of_csv(tmp_path):
    [frame] = kept(table(tmp_path / "f", b"a,b,c\n1,x,NA\n,y,z\n"), "c", "a")
    assert frame.rows.to_pydict() == {"a": ["1", ""], "b": ["x", "y"], "c": ["NA", "z"]}
    assert frame.texts.to_pylist() == ["NA 1", "z "]
    [frame] = kept(table(tmp_path / "f", b"1,x\n2,y\n", header=False), 2)
    assert frame.rows.to_pydict() == {"1": ["1", "2"], "2": ["x", "y"]}
    assert frame.texts.to_pylist() == ["x", "y"]


def test_truncated_gzip(tmp_path):
    content = gzip.compress(b"a,b\n" + b"1,2\n" * 1000)[:-12]
    for kind in ("csv", "jsonl"):
        source = table(tmp_path / "f", content, format=kind)
        with pytest.raises(UserError) as caught:
            rows(source, "a")
        if kind == "csv":
            assert str(caught.value) == "f: not a whole gzip file: cut short or damaged; get it again"


def test_json_lines(tmp_path):
    content = '\ufeff{"t": "a", "l": 1}\n\n{"t": null, "l": true, "x": []}\n{"l": 1.5, "t": "é\\n"}'.encode()
    expected = [("a", "1"), (None, "true"), ("é\n", "1.5")]
    for bytes_ in (content, gzip.compress(content)):
        source = table(tmp_path / "f", bytes_, format="jsonl")
        assert rows(source, "t", "l") == expected
        assert numbers(source, "t") == [1, 3, 4]  # a blank line is a row, with nothing in it
        [frame] = kept(source, "t", "l", keep="records")
        lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
        assert frame.rows == [line for line in lines if line]
        assert frame.texts.to_pylist() == ["a 1", " true", "é\n 1.5"]
    content = b'{"t": "a", "n": 1}\n\n{"n": null, "t": "b", "more": [2]}\n'
    [frame] = kept(table(tmp_path / "f", content, format="jsonl"), "t")
    assert frame.rows.to_pydict() == {"t": ["a", "b"], "n": [1, None], "more": [None, [2]]}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b'{"t": "a" "l": 1}', "not JSON: Expecting ',' delimiter at character 11"),
        (b'{"t": "a",', "not JSON: the line ends within a value; JSON Lines is one whole object per line"),
        (b"7", "7 is not a JSON object; JSON Lines is one whole object per line"),
        (b"null", "null is not a JSON object; JSON Lines is one whole object per line"),
        (
            b'[{"t": "a"},',
            'a JSON array: \'[{"t": "a"},\'; JSON Lines is one whole object per line, '
            "with no brackets and commas around them",
        ),
        (b'{"x": 1, "y": 2}', "no column 't'; there are x, y"),
        (b'{"t": ["a"]}', 't is ["a"], not a string or number'),
        (b'{"t": "caf\xe9"}', r"not UTF-8: b'{\"t\": \"caf\xe9\"}'; ".replace('\\"', '"') + SAVE),
        (b'{"t": "\\ud83d"}', r"half of a surrogate pair (\ud83d) in t; write the whole pair, or remove it"),
        (b'{"t": ' + b"[" * 400 + b"]" * 400 + b"}", f"t is {'[' * 37}..., not a string or number"),
        (b'{"x": ' + b"[" * 9999, f'nested too deeply: \'{{"x": {"[" * 30}...'),
        (b'{"t": "' + b"x" * 600 + b'"}', "longer than 500 bytes; JSON Lines is one whole object per line"),
    ],
)
def test_bad_json_lines(tmp_path, monkeypatch, line, expected):
    monkeypatch.setattr(streams, "BLOCK", 500)
    monkeypatch.setattr(streams, "MAX_RECORD", len(line) if len(line) > 700 else 500)
    content = b'{"t": "a"}\n' * 100 + line + b"\n"
    assert message(table(tmp_path / "f", content, format="jsonl"), "t") == f"f: row 101: {expected}"


@pytest.mark.parametrize("text", [pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())], ids=str)
@pytest.mark.parametrize("label", [pa.int64(), pa.uint8()], ids=str)
def test_parquet(tmp_path, monkeypatch, text, label):
    monkeypatch.setattr(streams, "BLOCK", 100)
    content = pa.table(
        {"x": [[0]] * 90, "t": pa.array(["a", "b", None] * 30, text), "l": pa.array([1, 2, 3] * 30, label)}
    )
    pq.write_table(content, tmp_path / "f")
    source = Table("f", tmp_path / "f", "parquet")
    assert rows(source, "l", "t") == [("1", "a"), ("2", "b"), ("3", None)] * 30
    frames = kept(source, "t")
    assert len(frames) > 1
    assert frames[0].numbers[0] == 1
    assert numbers(source, "t") == list(range(1, 91))
    assert pa.Table.from_batches([frame.rows for frame in frames]).cast(content.schema).equals(content)
    assert message(source, "x").startswith("f: column 'x' holds list<")
    assert message(source, "y") == "f: no column 'y'; there are x, t, l"


def test_parquet_not_utf8(tmp_path):
    pq.write_table(pa.table({"t": pa.array([b"a", b"b", b"\xff"])}), tmp_path / "f")
    assert message(Table("f", tmp_path / "f", "parquet"), "t") == (
        r"f: row 3: not UTF-8: b'\xff'; save the file as UTF-8"
    )


def test_broken_parquet(tmp_path):
    pq.write_table(pa.table({"t": [str(i) for i in range(9999)]}), tmp_path / "f")
    whole = (tmp_path / "f").read_bytes()
    expected = "f: not a whole Parquet file: cut short, damaged or of another format; get it again"
    for content in (whole[: len(whole) // 2], b"text,label\na,b\n", whole[:9000] + bytes(9000) + whole[18000:]):
        assert message(table(tmp_path / "g", content, format="parquet"), "t") == expected


@given(st.lists(st.tuples(st.text(), st.text()), min_size=1))
def test_csv_and_json_lines_round_trip(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("round") / "f"
    quoted = [",".join('"' + field.replace('"', '""') + '"' for field in row) for row in values]
    assert rows(table(path, "\n".join(["a,b", *quoted]).encode()), "a", "b") == values
    lines = "\n".join(json.dumps({"a": a, "b": b}) for a, b in values)
    assert rows(table(path, lines.encode(), format="jsonl"), "a", "b") == values
