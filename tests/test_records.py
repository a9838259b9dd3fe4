"""CSV is cut into whole records, and quotes that could swallow rows are refused with their row."""

import csv
import gzip
import io

import numpy as np
import pytest
from conftest import PROJECT
from hypothesis import given
from hypothesis import strategies as st

from flaxtext.core.errors import UserError
from flaxtext.io import streams
from flaxtext.io.bitmaps import bitmap, count, last, marked, odd_before, positions
from flaxtext.io.csv import Parser
from flaxtext.io.reading import read_frames
from flaxtext.io.records import Dialect, cut_records, split_fields
from flaxtext.io.table import Options, Table

REMEDY = "write quotes inside quoted fields twice, or set quoting: none, which takes quotes as text"


def table(path, content: bytes, format="csv", **options) -> Table:  # noqa: A002
    path.write_bytes(content)
    return Table("f", path, format, Options(**options))


def read(source: Table, *columns) -> tuple[list[tuple], str | None]:
    """Read the rows up to the first that is wrong, and what is said of that one."""
    found, said = [], None
    try:
        for frame in read_frames(source, columns):
            found += zip(*(column.to_pylist() for column in frame.columns), strict=True)
    except UserError as error:
        said = str(error)
        assert "\n" not in said
    return found, said


def walk(data: bytes, quoted: bool) -> tuple[list[bytes], str | None]:
    """Cut comma-separated records byte by byte: the rules as they are written down."""
    records, place = [], 0
    while place < len(data):
        start = place
        while True:
            if quoted and data[place : place + 1] == b'"':
                end = place + 1
                while data[end : end + 1] != b'"' or data[end : end + 2] == b'""':
                    if end >= len(data):
                        return records, "a quote is not closed"
                    end += 2 if data[end : end + 2] == b'""' else 1
                place = end + 1
                if place < len(data) and data[place] not in b",\r\n":
                    return records, "a quote closes inside a field"
            while place < len(data) and data[place] not in b",\r\n":
                place += 1
            if data[place : place + 1] != b",":
                break
            place += 1
        place += 2 if data[place : place + 2] == b"\r\n" else 1
        records.append(data[start:place])
    return records, None


@given(
    st.one_of(st.text('a",\n'), st.text('a"\r\n,'), st.text('aaaaaaa"",\n\r'), st.text('"\n')).map(str.encode),
    st.sampled_from([1, 2, 3, 7, 64, 1000]),
    st.booleans(),
)
def test_records_are_cut_as_a_walk_through_every_byte_does(data, size, quoted):
    found, said, row = [], None, 1
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    try:
        for block in cut_records(Table("f", PROJECT, "csv"), pieces, Dialect(",", quoted)):
            assert (block.first, block.count, block.ends[-1]) == (row, len(block.ends), len(block.data))
            own = [block.data[start:end] for start, end in zip([0, *block.ends], block.ends, strict=False)]
            assert not block.lines or all(len(record.rstrip(b"\r\n").splitlines()) < 2 for record in own)
            found += own
            row += block.count
    except UserError as error:
        said = str(error)
    expected, problem = walk(data, quoted)
    assert found == expected
    assert (said is None) == (problem is None)
    assert said is None or said.startswith(f"f: row {len(expected) + 1}: {problem}: ")


FIELD = st.text(st.sampled_from('ab "\r\n,;\t|é\u2028\ufeff\0🙂'), max_size=8)


@given(
    st.integers(1, 4).flatmap(lambda width: st.lists(st.tuples(*[FIELD] * width), min_size=1, max_size=12)),
    st.sampled_from(",;\t|"),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.sampled_from([1, 5, 64, 4096]),
    st.sampled_from(["nothing", "batch"]),
)
def test_what_python_writes_is_read_as_it_was(tmp_path_factory, written, delimiter, line_end, quoting, block, keep):
    if line_end != "\r\n" and any("\r" in field or "\n" in field for row in written for field in row):
        quoting = csv.QUOTE_ALL  # Python's writer quotes no other line end than its own
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator=line_end, quoting=quoting).writerows(written)
    content = text.getvalue().encode()
    if content.startswith(b"\xef\xbb\xbf"):
        content = b"\xef\xbb\xbf" + content  # a first one would be the file's mark
    path = tmp_path_factory.mktemp("written") / "f"
    source = table(path, content, header=False, delimiter=delimiter, quoting="csv")
    columns = list(range(1, len(written[0]) + 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streams, "BLOCK", block)
        frames = list(read_frames(source, columns, keep))
    rows = [row for frame in frames for row in zip(*(own.to_pylist() for own in frame.columns), strict=True)]
    assert rows == written
    assert [number for frame in frames for number in frame.numbers] == list(range(1, len(written) + 1))
    assert [frame.index for frame in frames] == list(range(len(frames)))
    if keep == "batch":
        kept = [row for frame in frames for row in zip(*(own.to_pylist() for own in frame.rows.columns), strict=True)]
        assert kept == written


@pytest.mark.parametrize(
    ("content", "before", "said"),
    [
        (b'a,x\n"hello" world,y\nb,z\n', 1, "row 3: a quote closes inside a field: '\"hello\" world,y\\nb,z\\n'; "),
        (b'a,x\nb,"c"d\n', 1, "row 3: a quote closes inside a field: '\"c\"d\\n'; "),
        (b'a,x\n"b,y\nc,z\n', 1, "row 3: a quote is not closed: '\"b,y\\nc,z\\n'; "),
        (b'a,x\nb,"""\n', 1, 'row 3: a quote is not closed: \'"""\\n\'; '),
    ],
)
def test_bad_quotes_are_refused_with_their_row(tmp_path, content, before, said):
    found, error = read(table(tmp_path / "f", b"text,label\n" + content), "text")
    assert len(found) == before
    assert error == f"f: {said}{REMEDY}"


def test_a_quote_inside_an_unquoted_field_is_text(tmp_path):
    found, error = read(table(tmp_path / "f", b'text,label\n5" pipe,x"y"\na""b,"c""d"\n'), "text", "label")
    assert (found, error) == ([('5" pipe', 'x"y"'), ('a""b', 'c"d')], None)


def test_quotes_are_text_if_told_so(tmp_path):
    content = b'text,label\n"hello" world,x\n"a,y\n'
    assert read(table(tmp_path / "f", content, quoting="none"), "text", "label") == (
        [('"hello" world', "x"), ('"a', "y")],
        None,
    )
    assert read(table(tmp_path / "f", content + b'"b,c",y\n', quoting="none"), "text")[1] == (
        "f: row 4: expected 2 fields, found 3: '\"b,c\",y'; "
        "quotes are text here; set quoting: csv if they hold fields together"
    )


def test_errors_come_in_the_order_of_rows(tmp_path):
    rows = [b"a,x", b"caf\xe9,x", b"b,y,z", b'"c"d,x']
    for stop in range(4, 1, -1):
        for first in range(1, stop):
            content = b"\n".join([b"text,label", rows[0], *rows[first:stop]])
            found, said = read(table(tmp_path / "f", content), "text")
            assert found == [("a",)]
            assert said.startswith(
                "f: row 3: " + ["", "not UTF-8", "expected 2 fields", "a quote closes inside a field"][first]
            )


def test_a_row_of_wrong_width_that_is_not_utf8_is_one_line(tmp_path, capfd):
    save = "save the file as UTF-8, or name its encoding, such as encoding: cp1252"
    assert read(table(tmp_path / "f", b"text,x\ncaf\xe9,1,2\n"), "text")[1] == (
        rf"f: row 2: not UTF-8: b'caf\xe9,1,2'; {save}"
    )
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_blank_lines_are_rows(tmp_path, line_end):
    content = line_end.join([b"text,label", b"", b"a,x", b"", b"", b"b,y", b"", b""])
    found, error = read(table(tmp_path / "f", content), "text", "label")
    assert (found, error) == ([("", ""), ("a", "x"), ("", ""), ("", ""), ("b", "y"), ("", "")], None)
    source = table(tmp_path / "f", line_end * 2 + content, header=False)
    assert len(read(source, 2)[0]) == 9
    assert read(table(tmp_path / "f", line_end + content), "text")[1] == (
        "f: row 1 is blank; the names of the columns are expected there"
    )


@pytest.mark.parametrize("header", [True, False])
def test_too_many_columns(tmp_path, header):
    said = "f: row 1: more than 10,000 columns"
    assert read(table(tmp_path / "f", b"," * 10_000 + b"\n", header=header), 1)[1] == said
    quoted = b'"' + b"," * 20_000 + b'",x\n'
    assert read(table(tmp_path / "f", quoted, header=False), 2) == ([("x",)], None)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"a" * 1000, "row 2: longer than 50,000 bytes"),
        (b"," * 1000, "row 2: longer than 50,000 bytes"),
        (b'"' * 1000, "row 2: longer than 50,000 bytes"),
        (b'"' + b"\n" * 999, "row 2: longer than 50,000 bytes"),
    ],
)
def test_a_record_without_end_is_one_line(tmp_path, monkeypatch, body, said):
    monkeypatch.setattr(streams, "BLOCK", 4096)
    monkeypatch.setattr(streams, "MAX_RECORD", 50_000)
    content = b"text,label\n" + (b'"' + b"\n" * 199_999 if body[1:2] == b"\n" else body * 200)
    found, error = read(table(tmp_path / "f", gzip.compress(content)), "text")
    assert found == []
    assert error.removesuffix("; is a quote not closed?") == f"f: {said}"


def test_many_rows_for_their_size_are_parsed_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr("flaxtext.io.csv.MAX_CELLS", 100)
    source = table(tmp_path / "f", b"a,b,c\n1,2,3\n" + b"\n" * 1000 + b"4,5,6\n")
    frames = list(read_frames(source, ["c"]))
    assert {len(frame.numbers) for frame in frames} == {33, 1002 % 33}
    assert [number for frame in frames for number in frame.numbers] == list(range(2, 1004))
    assert frames[-1].columns[0].to_pylist()[-1] == "6"


def test_records_that_arrow_counts_otherwise_are_an_error(tmp_path, monkeypatch):
    arrow = Parser._arrow
    monkeypatch.setattr(Parser, "_arrow", lambda self, block: arrow(self, block).slice(1))
    assert read(table(tmp_path / "f", b"a,b\n1,2\n3,4\n"), "a")[1] == (
        "f: rows 2 to 3: 2 rows by their line ends, 1 as parsed; please report this"
    )


def test_frames_are_about_a_block_each(tmp_path, monkeypatch):
    monkeypatch.setattr("flaxtext.io.streams.BLOCK", 1000)
    long = [b"x" * size for size in (10, 2500, 10, 10, 980, 400, 400, 400)]
    source = table(tmp_path / "f", b"a\n" + b"\n".join(long) + b"\n")
    frames = list(read_frames(source, ["a", "a"], "batch"))
    assert sum(len(frame.numbers) for frame in frames) == 8
    assert max(len(frame.numbers) for frame in frames) <= 3
    for frame in frames:
        assert frame.rows["a"].equals(frame.columns[0])


@given(st.binary(max_size=300), st.integers(0, 255), st.booleans())
def test_bitmaps_mark_what_a_loop_finds(data, value, before):
    array = np.frombuffer(data, np.uint8)
    places = [place for place, byte in enumerate(data) if byte == value]
    marks = bitmap(array, value)
    assert positions(marks).tolist() == places
    assert positions(marked(np.array(places, int), len(data))).tolist() == places
    assert (count(marks), last(marks)) == (len(places), places[-1] if places else None)
    odd = [place for place in range(len(data)) if (sum(p <= place for p in places) + before) % 2]
    found = positions(odd_before(marks, before)).tolist() if data else []
    assert [place for place in found if place < len(data)] == odd


def test_fields_of_a_record():
    csv_, text = Dialect(";", True), Dialect(";", False)
    assert split_fields(b'a;"b;""c""";;d"e', csv_) == [b"a", b'b;"c"', b"", b'd"e']
    assert split_fields(b'"a;b"', text) == [b'"a', b'b"']
    assert split_fields(b'""', csv_) == [b""]
    assert split_fields(b'"a";', csv_) == [b"a", b""]
