"""A user's file is shared as README says, by `dvc add` and `dvc push`, and is never lost on the way."""

import pytest
from copies import copy_checkout, shell

FILE = "data/inputs/reviews.csv"
BYTES = "text,label\r\nschön,good\nñandú 🦊,bad\n".encode()


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the checkout whose user has added a file to DVC and committed that.

    It has no stages: before they have run, `dvc checkout` complains that it has nothing to put back.
    """
    folder = tmp_path_factory.mktemp("sharing") / "mine"
    copy_checkout(folder, without=("bench/", "dvc.", "flaxtext/", "metrics/", "stages/", "tests/"))
    shell(folder, "git", "init", "--quiet")
    (folder / FILE).write_bytes(BYTES)
    shell(folder, "dvc", "add", FILE)
    shell(folder, "git", "add", "--all")
    shell(folder, "git", "commit", "--quiet", "--message", "a file")
    return folder


def test_checkout_keeps_an_added_file(project):
    shell(project, "dvc", "checkout")
    assert (project / FILE).read_bytes() == BYTES
    (project / FILE).unlink()
    shell(project, "dvc", "checkout")
    assert (project / FILE).read_bytes() == BYTES


def test_a_clone_pulls_what_was_pushed(project, tmp_path):
    shell(project, "dvc", "remote", "add", "--local", "--default", "--force", "team", str(tmp_path / "team"))
    assert "1 file pushed" in shell(project, "dvc", "push")
    shell(tmp_path, "git", "clone", "--quiet", str(project), "theirs")
    theirs = tmp_path / "theirs"
    assert not (theirs / FILE).exists()
    shell(theirs, "dvc", "remote", "add", "--local", "--default", "team", str(tmp_path / "team"))
    shell(theirs, "dvc", "pull")
    assert (theirs / FILE).read_bytes() == BYTES
    shell(theirs, "dvc", "checkout")
    assert (theirs / FILE).read_bytes() == BYTES


def test_git_tracks_the_pointer_and_neither_the_file_nor_what_stages_write(project):
    tracked = shell(project, "git", "ls-files", "data").splitlines()
    assert tracked == ["data/inputs/.gitignore", "data/inputs/README.md", f"{FILE}.dvc"]
    written = ["data/vocab.parquet", "data/models/sum_20/model.safetensors", "data/a", "data/.temporary"]
    other = "data/inputs/other.csv"  # which DVC was not told of: Git shows it
    for path in [*written, other]:
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).touch()
    assert shell(project, "git", "status", "--porcelain", "--untracked-files=all") == f"?? {other}\n"
