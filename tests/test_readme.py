"""README's results table is what the committed metrics say, and its commands exist.

What a run of the pipeline leaves in metrics/ plays no part: on a processor that rounds differently, a figure may differ
by 0.001, and README is about the figures in Git. Those are Git's index: what is committed, or staged to be.
"""

import re
import shutil
import subprocess

import pytest
from conftest import PROJECT

from flaxtext.cli.results import table
from flaxtext.config import variant_names

README = (PROJECT / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def committed(tmp_path):
    """A folder with params.yaml and metrics/ as Git's index has them."""
    if not (PROJECT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("no Git repository here: there are no committed metrics to compare README with")
    names = subprocess.run(
        ["git", "ls-files", "-z", "params.yaml", "metrics"], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    for name in names.stdout.split("\0")[:-1]:
        content = subprocess.run(["git", "show", f":./{name}"], cwd=PROJECT, capture_output=True, check=True).stdout
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    return tmp_path


def test_the_results_table_is_up_to_date(committed):
    figures = table(committed / "metrics", variant_names(committed / "params.yaml"))
    expected = [
        [name, *(value if isinstance(value, str) else f"{value:.3f}" for value in row)]
        for name, row in zip(figures.index, figures.to_numpy(), strict=True)
    ]
    rows = [re.split(r" *\| *", line.strip("| ")) for line in README.splitlines() if line.startswith("| ")]
    assert [row for row in rows if row[0] in figures.index] == expected


def test_the_make_targets_that_it_names_exist():
    targets = set(re.findall(r"^([\w-]+):", (PROJECT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z][\w-]*)", README, re.MULTILINE))
    assert {"run", "test"} <= named <= targets
