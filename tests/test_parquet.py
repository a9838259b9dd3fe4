"""Parquet: columns of any type as text, batches by decoded size, and what is said of files that cannot be read."""

import csv
import json
import re
import subprocess
import sys
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import PROJECT

from flaxtext.core.arrow import string_array
from flaxtext.core.errors import UserError
from flaxtext.io import parquet, streams
from flaxtext.io.reading import read_frames
from flaxtext.io.table import Table
from flaxtext.io.writing import KEEP, encode_frame, open_writer


def source(path, columns, **options) -> Table:
    pq.write_table(columns if isinstance(columns, pa.Table) else pa.table(columns), path, **options)
    return Table("f", path, "parquet")


def column(table: Table, name: str) -> list:
    return [value for frame in read_frames(table, [name]) for value in frame.columns[0].to_pylist()]


def sizes(table: Table, name: str, keep="nothing") -> list[int]:
    """Bytes of the largest batch, and how many batches and rows there are."""
    parts = list(parquet.parquet_parts(table, [name], keep))
    return [max(columns[0].nbytes for _, columns, _ in parts), len(parts), sum(len(numbers) for numbers, _, _ in parts)]


def message(table: Table, name="t", keep="nothing") -> str:
    with pytest.raises(UserError) as caught:
        list(read_frames(table, [name], keep))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_columns_of_any_type_are_text(tmp_path):
    columns = {
        "string_view": pa.array(["é", None], pa.string_view()),
        "binary": pa.array([b"caf\xc3\xa9", None], pa.large_binary()),
        "fixed": pa.array([b"ab", None], pa.binary(2)),
        "dictionary": pa.array(["a", None]).dictionary_encode(),
        "numbers": pa.array([2, 1]).dictionary_encode(),
        "bool": [True, None],
        "decimal": pa.array([Decimal("1.50"), None]),
        "date": pa.array([2_932_897, None], pa.int32()).view(pa.date32()),
        "moment": pa.array([0, None], pa.timestamp("us", "Mars/Phobos")),
        "float": [1.0, 0.1],
        "null": pa.nulls(2),
    }
    table = source(tmp_path / "f", columns)
    assert {name: column(table, name) for name in columns} == {
        "string_view": ["é", None],
        "binary": ["café", None],
        "fixed": ["ab", None],
        "dictionary": ["a", None],
        "numbers": ["2", "1"],
        "bool": ["true", None],
        "decimal": ["1.50", None],
        "date": ["+10000-01-01", None],
        "moment": ["1970-01-01T00:00:00Z", None],
        "float": ["1", "0.1"],
        "null": [None, None],
    }
    table = source(tmp_path / "f", {"t": pa.array([b"a", b"base64:", b"\xff"])})
    assert message(table) == r"f: row 3: not UTF-8: b'\xff'; save the file as UTF-8"


def test_fields_of_structs(tmp_path):
    columns = {
        "meta": [{"label": "a", "deep": {"x": 1}, "l": [1]}, None, {"label": None, "deep": None, "l": None}],
        "meta.label.x": ["p", "q", "r"],
        "own": [{"x.y": "1"}, {"x.y": "2"}, {"x.y": "3"}],
    }
    table = source(tmp_path / "f", columns)
    assert column(table, "meta.label") == ["a", None, None]
    assert column(table, "meta.deep.x") == ["1", None, None]
    assert column(table, "meta.label.x") == ["p", "q", "r"]
    assert column(table, "own.x.y") == ["1", "2", "3"]
    assert message(table, "meta.no") == (
        "f: no column 'meta.no'; there are meta.label, meta.deep.x, meta.l, meta.label.x, own.x.y"
    )
    assert message(table, "no") == "f: no column 'no'; there are meta, meta.label.x, own"
    assert message(table, "meta") == (
        "f: column 'meta' holds struct<label: string, deep: struct<x: int64>, l: list<element: int64>>, "
        "not strings or numbers"
    )


@pytest.mark.parametrize("nulls", [0, 5])
def test_batches_are_sized_by_what_they_decode_to(tmp_path, nulls):
    """A few hundred bytes say that 65,536 rows hold 100,000 characters each."""
    texts = [None] * nulls + ["x" * 100_000] * (65_536 - nulls)
    codes = pa.array([None] * nulls + [0] * (65_536 - nulls), pa.int32())
    content = pa.table({"t": pa.DictionaryArray.from_arrays(codes, ["x" * 100_000]), "n": range(len(texts))})
    table = source(tmp_path / "f", content, store_schema=False)
    assert table.path.stat().st_size < 400_000
    _, parts, rows = sizes(table, "n")
    assert (parts, rows) == (1, 65_536)  # the column alone is small
    first = next(iter(parquet.parquet_parts(table, ["t"], "batch")))
    assert first[1][0].nbytes < 2 * parquet.MAX_DECODED
    assert 1 <= len(first[0]) < 300


@pytest.mark.parametrize("encoding", ["DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY", "PLAIN"])
def test_values_that_repeat_the_one_before(tmp_path, encoding):
    """An encoding may say so in a byte or two."""
    content = {"t": ["x" * 50_000] * 4_000}
    table = source(tmp_path / "f", content, use_dictionary=False, column_encoding=encoding)
    largest, _, rows = sizes(table, "t")
    assert rows == 4_000
    assert largest < 2 * parquet.MAX_DECODED


def test_lists_of_many_values(tmp_path, monkeypatch):
    lists = pa.ListArray.from_arrays([0, 800_000, 800_001], pa.array(np.zeros(800_001, np.int64)))
    table = source(tmp_path / "f", {"t": ["a", "b"], "many": lists})
    assert next(read_frames(table, ["t"], "batch")).rows["many"].equals(lists)
    monkeypatch.setattr(parquet, "MAX_ROW", 6_000_000)
    assert column(table, "t") == ["a", "b"]
    assert re.fullmatch(
        r"f: column 'many.list.element': \d+ bytes hold up to 6,400,008 once read, too much for a row; "
        "write it with shorter values or lists",
        message(table, keep="batch"),
    )


def test_small_batches_are_joined(tmp_path):
    """One long value in a dictionary does not make many small batches of short ones."""
    texts = ["y" * 200_000, *(f"text {number % 1000}" for number in range(40_000))]
    _, parts, rows = sizes(source(tmp_path / "f", {"t": texts}), "t")
    assert rows == 40_001
    assert parts < 5
    kinds = {"t": texts, "d": pa.array(texts).dictionary_encode()}
    frames = list(read_frames(source(tmp_path / "f", kinds), ["t"], "batch"))
    found = pa.Table.from_batches([frame.rows for frame in frames])
    assert found["d"].to_pylist() == found["t"].to_pylist() == texts


def test_rows_beyond_a_group(tmp_path):
    content = {"t": [str(number) for number in range(10_000)]}
    table = source(tmp_path / "f", content, row_group_size=300)
    assert column(table, "t") == content["t"]
    assert sizes(table, "t")[1] == 1


def test_bombs_within_a_gigabyte(tmp_path):
    codes = pa.array(np.zeros(65_536, np.int32))
    texts = pa.DictionaryArray.from_arrays(codes, ["x" * 100_000])
    table = source(tmp_path / "f", pa.table({"t": texts}), store_schema=False, compression="zstd")
    program = """
import sys
from pathlib import Path
from flaxtext.io.reading import read_frames
from flaxtext.io.table import Table
parts = read_frames(Table("f", Path(sys.argv[1]), "parquet"), ["t"], "batch")
print(sum(len(next(parts).numbers) for _ in range(20)))
print(next(line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line).split()[1])
"""
    command = [sys.executable, "-c", program, str(table.path)]
    ran = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    rows, peak = map(int, ran.stdout.split())
    assert rows > 500
    assert peak < 500_000  # kilobytes


def test_many_columns(tmp_path):
    wide = pa.table([pa.array(["a"])] * 20_001, names=[str(number) for number in range(20_000)] + ["t"])
    table = source(tmp_path / "f", wide)
    assert column(table, "t") == ["a"]
    assert message(table, keep="batch") == "f: 20,001 columns; at most 10,000 can be copied"


def test_columns_of_one_name(tmp_path):
    table = source(tmp_path / "f", pa.table([["a"], ["b"], ["c"]], names=["t", "x", "x"]))
    assert column(table, "t") == ["a"]
    assert message(table, "x") == "f: 2 columns are called 'x'; rename them"
    assert message(table, "t", "batch") == "f: 2 columns are called 'x'; rename them"


def test_old_timestamps_of_any_year(tmp_path):
    """Of 96 bits; those beyond 2262 do not fit in nanoseconds."""
    microseconds = [0, 253_402_300_799_999_999, None]  # 9999-12-31
    when = pa.array(microseconds, pa.timestamp("us"))
    table = source(tmp_path / "f", {"when": when}, use_deprecated_int96_timestamps=True)
    assert column(table, "when") == ["1970-01-01T00:00:00", "9999-12-31T23:59:59.999999", None]
    when = pa.array([1], pa.int64()).view(pa.timestamp("ns"))
    table = source(tmp_path / "f", {"when": when}, use_deprecated_int96_timestamps=True)
    assert column(table, "when") == ["1970-01-01T00:00:00.000000001"]


def test_files_that_cannot_be_read(tmp_path):
    table = source(tmp_path / "f", {"t": ["a"] * 9}, store_schema=False)
    whole = table.path.read_bytes()
    damaged = "f: not a whole Parquet file: cut short, damaged or of another format; get it again"
    table.path.write_bytes(whole[:-4] + b"PARE")
    assert message(table) == "f: encrypted; decrypt it first"
    for content in (b"", b"PAR1", whole[:-1], whole[4:]):
        table.path.write_bytes(content)
        assert message(table) == damaged
    table = source(tmp_path / "f", {"t": pa.array([], pa.string())})
    assert column(table, "t") == []
    assert message(source(tmp_path / "f", pa.table({})), "t") == "f: no column 't'; there are "


def test_rows_are_counted_a_second_way(tmp_path, monkeypatch):
    table = source(tmp_path / "f", {"t": ["a"] * 9})
    monkeypatch.setattr(parquet, "_batches", lambda *_: iter([pa.record_batch({"t": ["a"] * 8})]))
    assert message(table) == "f: 8 rows were read, but it says that it has 9; it is damaged; get it again"


def copied(table: Table, kind: str):
    """Copy a file to another format, with a column more, and read that: rows, or a table of Parquet."""
    target = Table(f"out.{kind}", table.path.with_name(f"out.{kind}"), kind)
    with open_writer(target) as write:
        for frame in read_frames(table, ["text"], KEEP[kind]):
            write(encode_frame(frame, {"new": string_array(["x"] * len(frame.numbers))}, target))
    if kind == "parquet":
        return pq.read_table(target.path)
    text = target.path.read_text(encoding="utf-8")
    return list(map(json.loads, text.splitlines())) if kind == "jsonl" else list(csv.DictReader(text.splitlines()))


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
@pytest.mark.parametrize(
    ("name", "type_", "values", "expected"),
    [
        (
            "date",
            pa.timestamp("ms"),
            [253_402_300_800_000, -62_198_755_200_000],
            ["+10000-01-01T00:00:00", "-0001-01-01T00:00:00"],
        ),
        ("zone", pa.timestamp("us", "Mars/Phobos"), [1_500_000], ["1970-01-01T00:00:01.500000Z"]),
        ("duration", pa.duration("us"), [86_400_000_000, 500_000, -1_000_000], ["P1D", "PT0.5S", "-PT1S"]),
    ],
)
def test_the_same_text_in_each_format(tmp_path, kind, name, type_, values, expected):
    when = pa.array(values, pa.int64()).view(type_)
    table = source(tmp_path / "f", {"text": ["a"] * len(values), name: when})
    assert [row[name] for row in copied(table, kind)] == expected
    assert copied(table, "parquet")[name].combine_chunks().equals(when)


def test_what_is_said_of_columns_stays(tmp_path):
    fields = [
        pa.field("text", pa.large_string(), nullable=False, metadata={"role": "input"}),
        pa.field("kind", pa.dictionary(pa.int8(), pa.string())),
        pa.field("when", pa.timestamp("ns", "Mars/Phobos")),
    ]
    columns = [["a", "b"], ["x", None], [1, None]]
    content = pa.table(
        [pa.array(own, field.type) for own, field in zip(columns, fields, strict=True)],
        schema=pa.schema(fields, metadata={"origin": "a test"}),
    )
    table = source(tmp_path / "f", content)
    expected = pq.read_table(table.path)
    found = copied(table, "parquet").drop_columns("new")
    assert found.schema.equals(expected.schema, check_metadata=True)
    assert found.equals(expected)


def test_a_damaged_column_does_not_abort_the_process(cases, monkeypatch):
    """What Arrow says of a column would, looked at before the column is read."""
    monkeypatch.setattr(parquet, "MAX_DECODED", 1000)
    damaged = "f: not a whole Parquet file: cut short, damaged or of another format; get it again"
    assert message(Table("f", cases / "bundle-abort-vocab" / "vocab.parquet", "parquet"), "word", "batch") == damaged
    assert message(Table("f", cases / "bundle-abort-codec" / "vocab.parquet", "parquet"), "word", "batch") == damaged


def test_cases(cases, tmp_path):
    for name in ("date0", "date32", "dur2", "tsus10000"):
        (tmp_path / "f").write_bytes((cases / "06-date-beyond-9999" / f"{name}.parquet").read_bytes())
        table = Table("f", tmp_path / "f", "parquet")
        assert [row["d"] or None for row in copied(table, "csv")] == [row["d"] for row in copied(table, "jsonl")]
    (tmp_path / "f").write_bytes((cases / "07-unknown-time-zone" / "tzbad.parquet").read_bytes())
    assert all(row["d"].endswith("Z") for row in copied(Table("f", tmp_path / "f", "parquet"), "jsonl"))
    labels = column(Table("f", cases / "07-unknown-time-zone" / "train.parquet", "parquet"), "label")
    assert set(map(len, labels)) == {len("1970-01-01T00:00:00Z")}
    first = next(read_frames(Table("f", cases / "dict_100000.parquet", "parquet"), ["text"], "batch"))
    assert sum(own.nbytes for own in first.columns) < 2 * streams.BLOCK


def test_what_parquet_cannot_hold(tmp_path):
    """One line, though none of our readers returns such a column."""
    target = Table("out", tmp_path / "out.parquet", "parquet")
    expected = r"^out: Parquet cannot hold it: .*month_day_nano_interval.*; write .jsonl$"
    with pytest.raises(UserError, match=expected), open_writer(target) as write:
        write(pa.record_batch({"x": pa.array([(1, 2, 3)], pa.month_day_nano_interval())}))
    assert list(tmp_path.iterdir()) == []
