"""Outputs are whole or absent."""

import json

import pytest

from flaxtext.core.files import atomic, write_json, write_text


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


def test_json_is_unix_utf8_and_refuses_what_is_not_a_number(tmp_path):
    write_json(tmp_path / "a.json", {"ü": 0.5})
    assert (tmp_path / "a.json").read_bytes() == '{\n  "ü": 0.5\n}\n'.encode()
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"loss": float("nan")})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"ü": 0.5}
