"""Delimiters and quoting are found out, said, and told."""

import pytest
from read_tables import read, table

from flaxtext.core.errors import UserError
from flaxtext.io import streams
from flaxtext.io.reading import read_frames
from flaxtext.io.table import Options, Table

DELIMITERS = [(",", "commas"), (";", "semicolons"), ("\t", "tabs"), ("|", "pipes")]


@pytest.mark.parametrize(("delimiter", "name"), DELIMITERS)
@pytest.mark.parametrize("format", ["csv", "tsv"])
@pytest.mark.parametrize("header", [True, False])
def test_the_delimiter_is_found_and_said_once(tmp_path, capsys, delimiter, name, format, header):  # noqa: A002
    lines = ["text,label" if header else "x,y", "a,1", "b,2"]
    content = "\n".join(line.replace(",", delimiter) for line in lines).encode()
    source = table(tmp_path / "f", content, format, header=header)
    columns = ["label", "text"] if header else [2, 1]
    expected = [("1", "a"), ("2", "b")] if header else [("y", "x"), ("1", "a"), ("2", "b")]
    assert read(source, *columns) == expected
    assert read(source, *columns) == expected
    own = {"csv": ",", "tsv": "\t"}[format] == delimiter
    assert capsys.readouterr().err == ("" if own else f"note: f: fields are separated by {name}\n")
    for given in (delimiter, "tab" if delimiter == "\t" else delimiter):
        told = table(tmp_path / "f", content, format, header=header, delimiter=given)
        assert read(told, *columns) == expected
    assert capsys.readouterr().err == ""


def test_the_formats_own_delimiter_comes_first(tmp_path, capsys):
    assert read(table(tmp_path / "f", b"text,a;b\nx;y,1;2\n"), "text", "a;b") == [("x;y", "1;2")]
    assert read(table(tmp_path / "f", b"text\nx;y\n1;2\n"), "text") == [("x;y",), ("1;2",)]
    assert read(table(tmp_path / "f", b"a;1,b\nc;2,d\n", header=False), 1) == [("a;1",), ("c;2",)]
    assert read(table(tmp_path / "f", b"one; row\nanother\n", header=False), 1) == [("one; row",), ("another",)]
    assert read(table(tmp_path / "f", b'"text";"a"\n"x;y";1\n'), "text") == [("x;y",)]
    assert capsys.readouterr().err == "note: f: fields are separated by semicolons\n"


def test_a_missing_column_names_what_there_is(tmp_path):
    assert read(table(tmp_path / "f", b"title,label\na,x\n"), "text") == "f: no column 'text'; there are title, label"
    assert read(table(tmp_path / "f", b"Nr;Art\n1;x\n"), "text") == (
        "f: no column 'text'; there are Nr, Art, if semicolons separate fields; otherwise set delimiter"
    )
    assert read(table(tmp_path / "f", b"a;b\n1;2\n", header=False), 3) == "f: no column 3; there are 1"
    assert read(table(tmp_path / "f", b"a;b\n1;2\n", delimiter=","), "b") == "f: no column 'b'; there are a;b"


@pytest.mark.parametrize("delimiter", ["^", " ", "\x01", "a", "\\", "."])
def test_any_character_may_separate(tmp_path, delimiter):
    content = f'text{delimiter}1\n"{delimiter}x"{delimiter}2\n'.encode()
    assert read(table(tmp_path / "f", content, delimiter=delimiter, header=False), 2) == [("1",), ("2",)]


@pytest.mark.parametrize("delimiter", ["", "ab", '"', "\n", "\r", "é", "\0"])
def test_what_cannot_separate_is_refused(delimiter):
    with pytest.raises(UserError, match=r"^a delimiter is to be one character of ASCII, such as ; or \\t, not '"):
        Options(delimiter=delimiter)


def test_quoting_is_one_of_two():
    with pytest.raises(UserError, match=r"^quoting is to be csv or none, not 'all'$"):
        Options(quoting="all")


STRAY = b'text\tlabel\n"ball\tx\nwin\ty\n"stock\tx\nprice\ty\n'
PAIR = b'text\tlabel\n"ball\tx\nwin\ty\nprice"\ty\n'
JOINED = b'"ball\tx\nwin\ty\nprice"\ty\n'
QUOTED = b'text\tlabel\n"a ""b"""\tx\n'


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (STRAY, [('"ball', "x"), ("win", "y"), ('"stock', "x"), ("price", "y")]),
        (PAIR, [('"ball', "x"), ("win", "y"), ('price"', "y")]),
        (b'text\tlabel\n"a" b\tx\n"c" "d"\ty\n', [('"a" b', "x"), ('"c" "d"', "y")]),
        (QUOTED, [('a "b"', "x")]),
        (b'"text"\t"label"\n"a"\tx\n', [("a", "x")]),
        (b'text\tlabel\n"a\tb"\tx\n', [("a\tb", "x")]),  # which would be three fields
        (b'text\tlabel\n"a\n\nb"\tx\nc\ty\n', [("a\n\nb", "x"), ("c", "y")]),
        (b'label\ttext\nx\t"a\nb"\r\ny\tc', None),
        (b'text\tlabel\n"a\tx', [('"a', "x")]),
        (b'text\tlabel\na\t"x"', [("a", "x")]),
    ],
)
def test_quotes_of_tsv_mean_something_if_they_show_it(tmp_path, content, expected):
    assert read(table(tmp_path / "f", content, "tsv"), "text", "label") == expected or [("a\nb", "x"), ("c", "y")]


def test_a_stray_quote_is_not_believed_after_a_quoted_field(tmp_path):
    said = "lines in quotes look like rows; set quoting: none if quotes are text, csv if this is one row"
    content = QUOTED + JOINED + b"z\tx\n"
    assert read(table(tmp_path / "f", content, "tsv"), "text") == (
        f"f: row 3: '\"ball\\tx\\nwin\\ty\\nprice\"\\ty': {said}"
    )
    assert read(table(tmp_path / "f", content, "tsv", quoting="csv"), "text") == [
        ('a "b"',),
        ("ball\tx\nwin\ty\nprice",),
        ("z",),
    ]
    assert len(read(table(tmp_path / "f", content, "tsv", quoting="none"), "text")) == 5
    two = QUOTED + b'"ball\tx\nprice"\ty\n'
    assert read(table(tmp_path / "f", two, "tsv"), "text") == f"f: row 3: '\"ball\\tx\\nprice\"\\ty': {said}"
    several = QUOTED + b'"one\ntwo\n\nthree"\tx\n'
    assert read(table(tmp_path / "f", several, "tsv"), "text")[1] == ("one\ntwo\n\nthree",)


def test_a_quoted_field_is_not_taken_for_text_in_silence(tmp_path, monkeypatch):
    monkeypatch.setattr(streams, "BLOCK", 64)
    content = b"text\tlabel\n" + b"a\tx\n" * 30 + b'"b ""c"""\ty\n'
    assert read(table(tmp_path / "f", content, "tsv"), "text") == (
        'f: row 32: \'"b ""c"""\\ty\': a field in quotes, the first one; '
        "set quoting: csv if quotes enclose fields, none if they are text"
    )
    assert read(table(tmp_path / "f", content, "tsv", quoting="csv"), "text")[-1] == ('b "c"',)
    assert read(table(tmp_path / "f", content, "tsv", quoting="none"), "text")[-1] == ('"b ""c"""',)


def test_lines_in_quotes_that_look_like_rows_are_warned_about(tmp_path, capsys):
    joined = b'"a,x\nb,y\nc,z\nd",w\n'
    source = table(tmp_path / "f", b"text,label\n" + joined + b"e,x\n" + joined)
    for _ in range(2):
        assert read(source, "text") == [("a,x\nb,y\nc,z\nd",), ("e",), ("a,x\nb,y\nc,z\nd",)]
    said = "warning: f: row 2 has lines in quotes that look like rows{}; if a quote is a stray one, set quoting: none\n"
    assert capsys.readouterr().err == said.format(", and 1 more have")
    assert len(read(table(tmp_path / "f", b"text,label\n" + joined), "text")) == 1
    assert capsys.readouterr().err == said.format("")
    for honest in (b'"a,x\nb\nc,z\nd",w\n', b'"a, b\nc, d",w\n', b'"Dear all,\n\nmany thanks.\nYours,\nme",w\n'):
        assert len(read(table(tmp_path / "f", b"text,label\n" + honest), "text")) == 1
    assert len(read(table(tmp_path / "f", b"text,label\n" + joined, quoting="csv"), "text")) == 1
    assert capsys.readouterr().err == ""


def test_a_long_record_is_looked_at_from_its_start(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("flaxtext.io.quotes.LONG", 100)
    content = b"text,label\n" + b"a,b\n" * 50 + b'"a,x\n' + b"b,y\n" * 100 + b'd",w\n' + b"e,f\n" * 50
    assert len(read(table(tmp_path / "f", content), "text")) == 101
    assert "row 52 has lines" in capsys.readouterr().err


def test_spam_and_others_lose_no_row(cases, capsys):
    for path, rows in (
        ("01-stray-quote-tsv/train.tsv", 2000),
        ("quote_in_tsv.tsv", 300),
        ("03-stray-quote-predict/tsvq.tsv", 4),
    ):
        source = Table("f", cases / path, "tsv")
        assert sum(len(frame.numbers) for frame in read_frames(source, ["text"])) == rows
    source = Table("f", cases / "01-stray-quote-tsv/train.tsv", "tsv", Options(quoting="csv"))
    assert read(source, "text").startswith("f: row 5: a quote closes inside a field: '\"doc number 3 about ball")
    assert capsys.readouterr().err == ""


def test_semicolons_of_excel(cases, capsys):
    found = read(Table("excel.csv", cases / "excel.csv", "csv"), "Nr", "Art")
    assert (len(found), found[0]) == (1200, ("0", "Beschwerde"))
    assert capsys.readouterr().err == "note: excel.csv: fields are separated by semicolons\n"
