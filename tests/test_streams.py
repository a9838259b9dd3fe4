"""Tables come from files, pipes and standard input; nothing without an end is waited for."""

import gzip
import io
import os
import socket
import threading
import time
from pathlib import Path

import pytest

from flaxtext.core.errors import UserError
from flaxtext.io import streams
from flaxtext.io.reading import read_frames
from flaxtext.io.table import Options, Table

CONTENT = b"text,label\n" + b"a,x\n" * 1000


def texts(source: Table) -> list[str]:
    return [text for frame in read_frames(source, ["text"]) for text in frame.columns[0].to_pylist()]


def message(source: Table) -> str:
    with pytest.raises(UserError) as caught:
        texts(source)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("content", [CONTENT, gzip.compress(CONTENT), b"\xef\xbb\xbf" + CONTENT])
def test_a_stream_is_read_from_where_it_stands_and_left_open(content):
    stream = io.BytesIO(b"passed" + content)
    stream.seek(6)
    assert texts(Table("-", Path("-"), "csv", stream=stream)) == ["a"] * 1000
    assert not stream.closed


@pytest.mark.parametrize("content", [CONTENT, gzip.compress(CONTENT)])
def test_a_pipe_that_gives_a_byte_at_a_time(content):
    reading, writing = os.pipe()

    def write():
        with open(writing, "wb", buffering=0) as file:  # noqa: PTH123
            for start in range(20):
                file.write(content[start : start + 1])
                time.sleep(0.001)
            file.write(content[20:])

    writer = threading.Thread(target=write)
    writer.start()
    with open(reading, "rb", buffering=0) as stream:  # noqa: PTH123
        assert texts(Table("-", Path("-"), "csv", stream=stream)) == ["a"] * 1000
    writer.join()


def test_a_named_pipe_is_waited_for(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)

    def write():
        time.sleep(0.2)
        path.write_bytes(CONTENT)

    writer = threading.Thread(target=write)
    writer.start()
    assert texts(Table("f", path, "csv")) == ["a"] * 1000
    writer.join()


def test_a_named_pipe_whose_writer_takes_its_time(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)

    def write():
        with path.open("wb") as file:
            time.sleep(0.2)
            file.write(CONTENT)

    writer = threading.Thread(target=write)
    writer.start()
    assert texts(Table("f", path, "csv")) == ["a"] * 1000
    writer.join()


def test_a_named_pipe_that_nothing_writes_to(tmp_path, monkeypatch):
    monkeypatch.setattr(streams, "PIPE_WAIT", 0.1)
    os.mkfifo(tmp_path / "pipe")
    assert message(Table("f", tmp_path / "pipe", "csv")) == "f: a pipe that nothing writes to; waited 0.1 s"


@pytest.mark.parametrize("format", ["csv", "tsv", "jsonl"])
def test_what_is_no_file(tmp_path, monkeypatch, format):  # noqa: A002
    with socket.socket(socket.AF_UNIX) as listening:
        monkeypatch.chdir(tmp_path)  # the names of sockets are short
        listening.bind("socket")
        for path in (tmp_path, Path("/dev/zero"), Path("/dev/null"), tmp_path / "socket"):
            assert message(Table("f", path, format)) == "f: not a file"
    for path in (tmp_path / "none", Path(__file__) / "x"):
        assert message(Table("f", path, format)) == "f: no such file"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PK\x03\x04\x14\0", "a ZIP archive, as Excel's workbooks are; unpack it, or save it as CSV UTF-8"),
        (gzip.compress(gzip.compress(CONTENT)), "compressed with gzip twice; decompress it once"),
        (gzip.compress(CONTENT)[:-9], "not a whole gzip file: cut short or damaged; get it again"),
        (b"\x1f\x8b", "not a whole gzip file: cut short or damaged; get it again"),
    ],
)
def test_what_is_no_text(tmp_path, content, said):
    (tmp_path / "f").write_bytes(content)
    assert message(Table("f", tmp_path / "f", "csv")) == f"f: {said}"


def test_gzip_in_members_with_zeros_behind(tmp_path):
    (tmp_path / "f").write_bytes(gzip.compress(b"t") + gzip.compress(CONTENT[1:]) + bytes(100))
    assert texts(Table("f", tmp_path / "f", "csv", Options())) == ["a"] * 1000


def test_rows_before_the_end_of_a_gzip_file_that_is_cut_short(tmp_path, monkeypatch):
    monkeypatch.setattr(streams, "BLOCK", 1000)
    rng = b"".join(b"%d,%d\n" % (i * i, i) for i in range(3000))
    (tmp_path / "f").write_bytes(gzip.compress(b"text,label\n" + rng)[:-2000])
    frames = read_frames(Table("f", tmp_path / "f", "csv"), ["text"])
    assert next(frames).columns[0].to_pylist()[:3] == ["0", "1", "4"]
    with pytest.raises(UserError, match=r"^f: not a whole gzip file"):
        list(frames)
