"""Copies of the checkout, for tests that change files or run DVC and Git."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from conftest import PROJECT


def copy_checkout(folder, *, without=("tests/", "bench/", "metrics/", "dvc.lock")):
    """Copy the files that Git tracks or would track, as they are now, except paths that begin with one of `without`."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.splitlines():
        if (PROJECT / name).is_file() and not name.startswith(without):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(PROJECT / name, folder / name)


def environment(**changes):
    """The environment for Git and DVC: this interpreter's commands come first, and commits have an author."""
    return {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "GIT_AUTHOR_NAME": "tests",
        "GIT_AUTHOR_EMAIL": "tests@example.org",
        "GIT_COMMITTER_NAME": "tests",
        "GIT_COMMITTER_EMAIL": "tests@example.org",
        **changes,
    }


def shell(folder, *command, env=None, check=True):
    """Run a command in `folder`, which must succeed if `check`, and return what it printed."""
    ended = subprocess.run(
        command,
        cwd=folder,
        env=env or environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert not check or ended.returncode == 0, ended.stdout
    return ended.stdout
