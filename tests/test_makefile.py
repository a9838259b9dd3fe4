"""The Makefile in folders of any name."""

import shutil
import subprocess
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from conftest import PROJECT

SHOW = 'include Makefile\nshow:\n\t@echo "$$PIP_CONSTRAINT"; echo "$$PIP_BUILD_CONSTRAINT"\n'


@pytest.mark.skipif(shutil.which("make") is None, reason="no make on this machine")
@pytest.mark.parametrize("name", ["plain", "a b  c", "50%", "x #y?z", "naïve"])
def test_the_lock_is_found_as_pip_reads_it(tmp_path, name):
    """pip splits the setting at spaces, and unquotes a file's URL."""
    folder = tmp_path / name
    folder.mkdir()
    shutil.copy(PROJECT / "Makefile", folder)
    (folder / "Show").write_text(SHOW, encoding="utf-8")
    ran = subprocess.run(["make", "-sf", "Show", "show"], cwd=folder, capture_output=True, text=True, check=True)
    for setting in ran.stdout.splitlines():
        [url] = setting.split()
        assert Path(unquote(urlsplit(url).path)) == folder / "requirements.lock"
        assert not urlsplit(url).query


@pytest.mark.skipif(shutil.which("make") is None, reason="no make on this machine")
def test_glove_is_installed_where_it_is_asked_for(tmp_path):
    shutil.copy(PROJECT / "Makefile", tmp_path)
    for name in ("requirements.lock", "pyproject.toml"):
        (tmp_path / name).touch()
    shown = [
        subprocess.run(["make", "-n", "setup", *more], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
        for more in ([], ["GLOVE=1"])
    ]
    assert ["--editable '.[glove]'" in each for each in shown] == [False, True]
