"""README's results table is what metrics/ says, and its commands exist."""

import re

from conftest import PROJECT

from flaxtext.cli.results import table
from flaxtext.config import params

README = (PROJECT / "README.md").read_text(encoding="utf-8")


def test_the_results_table_is_up_to_date():
    figures = table(PROJECT / "metrics", list(params.load(PROJECT / "params.yaml").variants))
    expected = [
        [name, *(value if isinstance(value, str) else f"{value:.3f}" for value in row)]
        for name, row in zip(figures.index, figures.to_numpy(), strict=True)
    ]
    rows = [re.split(r" *\| *", line.strip("| ")) for line in README.splitlines() if line.startswith("| ")]
    assert [row for row in rows if row[0] in figures.index] == expected


def test_the_make_targets_that_it_names_exist():
    targets = set(re.findall(r"^(\w+):", (PROJECT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make (\w+)", README, re.MULTILINE)) <= targets
