"""Files in other encodings are read as what they say, and what is not in them is found with its row."""

import codecs
import gzip
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from read_tables import read, table

from flaxtext.core.errors import UserError
from flaxtext.io import encoding as encodings
from flaxtext.io.table import Options, Table

ROWS = [("café", "naïve"), ("Größe, 5 €", 'so-called "ä"'), ("line\nbreak", "z")]
CONTENT = 'text,label\r\ncafé,naïve\r\n"Größe, 5 €","so-called ""ä"""\r\n"line\nbreak",z\r\n'
SAVE = "save the file as UTF-8, or name its encoding, such as encoding: cp1252"


MARKS = {
    "utf-8": codecs.BOM_UTF8,
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32-le": codecs.BOM_UTF32_LE,
    "utf-32-be": codecs.BOM_UTF32_BE,
}


@pytest.mark.parametrize("encoding", MARKS)
@pytest.mark.parametrize("given", [None, "cp1252", "utf-8", "utf-16-le", "utf-16"])
def test_a_byte_order_mark_says_it_whatever_was_told(tmp_path, encoding, given):
    content = MARKS[encoding] + CONTENT.encode(encoding)
    for packed in (content, gzip.compress(content)):
        assert read(table(tmp_path / "f", packed, encoding=given), "text", "label") == ROWS
    lines = MARKS[encoding] + '{"t": "é"}\n{"t": "ü"}\n'.encode(encoding)
    assert read(table(tmp_path / "f", lines, "jsonl", encoding=given), "t") == [("é",), ("ü",)]


@pytest.mark.parametrize(
    "encoding", ["cp1252", "iso-8859-15", "utf-16-le", "utf-16-be", "utf-32-le", "utf-8", "mac-roman", "cp858"]
)
def test_an_encoding_by_name(tmp_path, encoding, monkeypatch):
    monkeypatch.setattr(encodings, "CHUNK", 7)  # in the middle of characters
    assert read(table(tmp_path / "f", CONTENT.encode(encoding), encoding=encoding), "text", "label") == ROWS


@pytest.mark.parametrize("encoding", ["shift_jis", "gb18030", "big5", "euc_kr", "iso2022_jp", "hz"])
def test_encodings_of_more_bytes_than_one(tmp_path, encoding, monkeypatch):
    monkeypatch.setattr(encodings, "CHUNK", 3)
    text = "中, 小" if encoding != "iso2022_jp" else "日本, 語"
    content = f'text,label\n"{text}",x\nb,y\n'.encode(encoding)
    assert read(table(tmp_path / "f", content, encoding=encoding), "text", "label") == [(text, "x"), ("b", "y")]


@pytest.mark.parametrize(
    ("encoding", "row", "shown"),
    [
        ("cp1252", b"caf\x81,x", r"b'caf\x81'"),
        ("ascii", b"caf\xc3\xa9,x", r"b'caf\xc3\xa9'"),  # one by one, they would be UTF-8
        ("shift_jis", b"caf\x83,x", r"b'caf\x83,x'"),
        ("cp1252", b"caf\x81,x,y", r"b'caf\x81,x,y'"),
    ],
)
def test_what_is_not_in_the_encoding_is_found_with_its_row(tmp_path, encoding, row, shown):
    said = read(table(tmp_path / "f", b"text,label\na,x\n" + row + b"\nb,y\n", encoding=encoding), "text")
    assert said.startswith(f"f: row 3: not {encoding}: ")
    assert said.endswith("; correct the row, or encoding")
    if encoding != "shift_jis":
        assert shown in said


def test_what_is_not_utf8(tmp_path):
    assert (
        read(table(tmp_path / "f", b"text,label\ncaf\xe9,x\n"), "text") == rf"f: row 2: not UTF-8: b'caf\xe9'; {SAVE}"
    )
    assert read(table(tmp_path / "f", b"text,\xe9\na,x\n"), "text") == rf"f: row 1: not UTF-8: b'\xe9'; {SAVE}"
    assert read(table(tmp_path / "f", b"text,label\ncaf\xe9,x\n", encoding="cp1252"), "text") == [("café",)]


def test_half_a_character_of_utf16(tmp_path):
    content = codecs.BOM_UTF16_LE + "text,label\na,x\n".encode("utf-16-le") + b"\x00\xd8,\x00x\x00\n\x00"
    assert read(table(tmp_path / "f", content), "text").startswith("f: row 3: not UTF-16-LE: ")
    cut = codecs.BOM_UTF16_LE + "text,label\na,x\nb,y".encode("utf-16-le")[:-1]
    assert read(table(tmp_path / "f", cut), "label").startswith("f: row 3: not UTF-16-LE: ")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_utf16_without_a_mark_is_one_line(tmp_path, encoding, format):  # noqa: A002
    content = ('{"text": "é"}\n' if format == "jsonl" else "text,label\né,x\n").encode(encoding)
    said = f"f: {encoding[:6].upper()} without a byte order mark, as it looks; set encoding: {encoding}"
    assert read(table(tmp_path / "f", content, format), "text") == said
    assert read(table(tmp_path / "f", content, format, encoding=encoding), "text") == [("é",)]


@given(st.text(st.characters(codec="utf-8"), max_size=200), st.integers(1, 9), st.sampled_from(sorted(MARKS)))
def test_any_text_comes_through(text, chunk, encoding):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encodings, "CHUNK", chunk)
        recoded = io.BufferedReader(encodings.Recoded(io.BytesIO(text.encode(encoding)), encoding))
        assert recoded.read() == text.encode()


@given(
    st.binary(max_size=60), st.integers(1, 5), st.sampled_from(["cp1252", "shift_jis", "utf-16-le", "gb18030", "hz"])
)
def test_no_bytes_are_decoded_in_silence_that_cannot_be(data, chunk, encoding):
    try:
        expected = data.decode(encoding).encode()
    except UnicodeDecodeError:
        expected = None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encodings, "CHUNK", chunk)
        found = io.BufferedReader(encodings.Recoded(io.BytesIO(data), encoding)).read()
    if expected is None:
        with pytest.raises(UnicodeDecodeError):
            found.decode()
    else:
        assert found == expected


@pytest.mark.parametrize(
    "name",
    [
        "rot13",
        "base64",
        "zlib",
        "hex",
        "idna",
        "punycode",
        "utf-7",
        "unicode_escape",
        "raw_unicode_escape",
        "undefined",
    ],
)
def test_what_is_no_encoding_of_files_is_refused(name):
    with pytest.raises(UserError) as caught:
        Options(encoding=name)
    assert str(caught.value) == (
        f"{name!r} is not an encoding of text files; such as utf-8, cp1252, utf-16-le, shift_jis"
    )


@pytest.mark.parametrize("name", ["latin-99", "", " ", "a\0b", "é", "../x"])
def test_an_unknown_encoding_is_refused(name):
    with pytest.raises(UserError, match=r"^no encoding is called '.*'; such as utf-8, cp1252, utf-16-le, shift_jis$"):
        Options(encoding=name)


def test_utf16_of_excel_and_a_row_of_latin1(cases, capfd):
    found = read(Table("f", cases / "09-utf16" / "train.csv", "csv"), "text", "label")
    assert found[:2] == [("doc number 0 about bank", "money"), ("doc number 1 about ball", "sport")]
    path = cases / "08-latin1-row-of-wrong-width" / "latinbad.csv"
    assert read(Table("f", path, "csv"), "text") == rf"f: row 2: not UTF-8: b'caf\xe9,1,2'; {SAVE}"
    assert read(Table("f", cases / "utf8_and_fields.csv", "csv"), "text") == (
        rf"f: row 3: not UTF-8: b'foo \xff bar,b,c'; {SAVE}"
    )
    assert capfd.readouterr().err == ""
