"""Outputs are whole or absent."""

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from conftest import PROJECT

from flaxtext.core import files
from flaxtext.core.files import atomic, descriptor, follow, open_output, scratch_folder, settle, write_text


def test_a_file_appears_at_the_end(tmp_path):
    with atomic(tmp_path / "new" / "a.txt") as temporary:
        temporary.write_text("whole")
        assert not (tmp_path / "new" / "a.txt").exists()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.txt"]


def test_an_error_leaves_what_was_there(tmp_path):
    write_text(tmp_path / "a.txt", "old")

    def fail():
        with atomic(tmp_path / "a.txt") as temporary:
            temporary.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert (tmp_path / "a.txt").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_folder_takes_the_place_of_another_and_of_a_killed_runs_leftover(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "old").touch()
    (tmp_path / ".model.tmp").mkdir()
    (tmp_path / ".model.tmp" / "left over").touch()
    with atomic(tmp_path / "model") as temporary:
        temporary.mkdir()
        (temporary / "new").touch()
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["model", "model/new"]


def put(path, data=b"new"):
    with open_output(path) as file:
        file.write(data)


@pytest.mark.parametrize("old", [None, "old"])
def test_what_a_user_named_is_written_at_the_end_of_its_links(tmp_path, old):
    real = tmp_path / "real" / "out.csv"
    real.parent.mkdir()
    if old:
        real.write_text(old)
    (tmp_path / "second").symlink_to("real/out.csv")
    (tmp_path / "first").symlink_to(tmp_path / "second")
    put(tmp_path / "first")
    assert real.read_bytes() == b"new"
    assert [path.name for path in real.parent.iterdir()] == ["out.csv"]
    assert (tmp_path / "first").readlink() == tmp_path / "second"
    assert follow(tmp_path / "first") == real


def test_an_output_of_a_stage_takes_a_links_place(tmp_path):
    """Where DVC links outputs to its cache, the cache stays as it is; a link to a folder goes as well."""
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "old").write_text("old")
    (tmp_path / "file").symlink_to("cache/old")
    (tmp_path / "folder").symlink_to("cache")
    write_text(tmp_path / "file", "new")
    write_text(tmp_path / "folder", "new")
    assert (tmp_path / "cache" / "old").read_text() == "old"
    assert [(tmp_path / name).is_symlink() for name in ("file", "folder")] == [False, False]


def test_links_that_lead_to_themselves_are_told(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links") as told:
        put(tmp_path / "a")
    assert (told.value.errno, told.value.filename) == (errno.ELOOP, str(tmp_path / "a"))
    assert (tmp_path / "a").is_symlink()


def test_devices_and_pipes_are_written_to_and_stay(tmp_path):
    put("/dev/null")
    assert Path("/dev/null").is_char_device()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    put(pipe)
    reader.join()
    assert read == [b"new"]
    assert pipe.is_fifo()
    with pytest.raises(OSError, match="No space left") as told:
        put("/dev/full")
    assert told.value.filename == "/dev/full"


def test_an_open_file_is_written_to_where_it_stands(tmp_path):
    with (tmp_path / "log").open("w+") as log:
        log.write("before ")
        log.flush()
        put(f"/dev/fd/{log.fileno()}")
    assert (tmp_path / "log").read_text() == "before new"
    (tmp_path / "link").symlink_to("/dev/stdout")
    paths = ["/dev/stdin", "/dev/../dev/stdout", "/proc/self/fd/7", tmp_path / "link", "out.csv", "/dev/null"]
    assert [descriptor(Path(path)) for path in paths] == [0, 1, 7, 1, None, None]


@pytest.mark.parametrize("write", [put, lambda path: write_text(path, "new")])
def test_errors_name_the_file_that_was_asked_for(tmp_path, write):
    (tmp_path / "file").touch()
    for path, number in {
        tmp_path / "file" / "out": errno.ENOTDIR,
        tmp_path / "file" / "a" / "b": errno.ENOTDIR,
    }.items():
        with pytest.raises(OSError) as told:  # noqa: PT011, the number says which
            write(path)
        assert (told.value.errno, told.value.filename) == (number, str(path))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("kind", ["open_output(path)", "atomic(path)"])
def test_a_full_disk_names_the_file_that_was_asked_for(tmp_path, kind):
    program = f"""
import sys
from pathlib import Path
from flaxtext.core.errors import run
from flaxtext.core.files import atomic, open_output

def main():
    path = sys.argv[1]
    with {kind} as file:
        (file.write if hasattr(file, "write") else file.write_bytes)(bytes(9999))

run(main)
"""
    limited = ["sh", "-c", 'ulimit -f 2; exec "$@"', "sh"]  # 1 or 2 kilobytes, by the shell
    command = [*limited, sys.executable, "-c", program, tmp_path / "out.bin"]
    ended = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (1, f"error: {tmp_path}/out.bin: file too large\n")
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_ends_keeps_what_is_whole_and_removes_the_rest(tmp_path, monkeypatch):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "old").touch()

    def end(*_):
        settle()
        raise SystemExit

    def write_half():
        with scratch_folder() as folder, atomic(tmp_path / "half") as temporary:
            temporary.write_text("half")
            scratch.append(folder)
            end()

    scratch = []
    with pytest.raises(SystemExit):
        write_half()
    assert not scratch[0].exists()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]

    put_in_place, calls = files._put, []

    def interrupted(temporary, target):
        """Do as if the signal came between the removal of the folder that was there and the renaming."""
        calls.append(target)
        if len(calls) == 1:
            files._remove(target)
            end()
        put_in_place(temporary, target)

    def write_model():
        with atomic(tmp_path / "model") as temporary:
            temporary.mkdir()
            (temporary / "new").touch()

    monkeypatch.setattr(files, "_put", interrupted)
    with pytest.raises(SystemExit):
        write_model()
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["model", "model/new"]
