"""What `flaxtext compare` says of two commits, in small projects that hold nothing but predictions."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import PROJECT
from copies import shell

from flaxtext.artifacts.predictions import Answers, read_predictions, write_predictions
from flaxtext.cli.revisions import Change, changes, readable_changes
from flaxtext.compare.comparison import Estimate
from flaxtext.config.compare import Compare

LABELS = np.random.default_rng(0).integers(0, 2, 1000)
SETTINGS = Compare(resamples=500)


def write(folder, labels=LABELS, **wrong):
    """Write predictions of two classes; of each variant's runs, `wrong` has the documents that each gets wrong.

    The documents, of test, are followed by one of train, a dog.
    """
    rows, labels = np.arange(len(labels) + 1), np.append(labels, 1)
    for variant, runs in wrong.items():
        by_seed = np.repeat(labels[None], len(runs), axis=0)
        for answers, documents in zip(by_seed, runs, strict=True):
            answers[documents] = 1 - answers[documents]
        write_predictions(
            folder / f"data/predictions/{variant}.parquet",
            classes=["cats", "dogs"],
            splits=np.array(["test"] * len(rows[1:]) + ["train"], object),
            rows=rows,
            labels=labels.astype(np.int32),
            answers=Answers.of(np.eye(2)[by_seed[0]], labels, by_seed),
        )


def keep(folder, branch):
    """Give the predictions to DVC, and commit."""
    shell(folder, "git", "checkout", "--quiet", "-B", branch)
    shell(folder, "dvc", "add", "--quiet", *map(str, (folder / "data/predictions").glob("*.parquet")))
    shell(folder, "git", "add", "--all")
    shell(folder, "git", "commit", "--quiet", "--message", branch)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Three commits: main, better, and other, whose test split is not that of the others."""
    folder = tmp_path_factory.mktemp("revisions")
    shell(folder, "git", "init", "--quiet")
    shell(folder, "dvc", "init", "--quiet")
    (folder / "params.yaml").write_bytes((PROJECT / "params.yaml").read_bytes())
    two = [slice(0, 150), slice(200, 340)]
    write(folder, still=[slice(0, 100)], moved=[slice(0, 200)], seeds=two, gone=[slice(0, 1)])
    keep(folder, "main")
    (folder / "data/predictions/gone.parquet.dvc").unlink()
    (folder / "data/predictions/gone.parquet").unlink()
    write(folder, still=[slice(0, 100)], moved=[slice(50, 150)], seeds=[slice(600, 745), slice(300, 460)])
    keep(folder, "better")
    write(folder, LABELS[:900], still=[slice(0, 100)])
    keep(folder, "other")
    shell(folder, "git", "checkout", "--quiet", "main")
    shell(folder, "dvc", "checkout", "--quiet")
    return folder


@pytest.fixture
def compare(project, monkeypatch, flaxtext):
    """Run the command in the project: its status, output and errors."""

    def run(*arguments, folder=project):
        monkeypatch.chdir(folder)
        return flaxtext("compare", *arguments)

    return run


def test_each_variant_gets_a_row_and_a_sentence(compare):
    status, out, err = compare("main", "better")
    assert (status, err) == (0, "note: only in main: gone\n")
    lines = out.splitlines()
    assert lines[0] == "before: main; after: better; 1,000 test documents"
    assert [line.split()[:3] for line in lines[2:5]] == [
        ["moved", "0.8000", "0.9000"],
        ["seeds", "0.8550", "0.8475"],
        ["still", "0.9000", "0.9000"],
    ]
    assert lines[6].startswith("moved is better in better than in main by 10.0 points (8.")
    assert lines[7].startswith("seeds: no difference shown between main and better: -0.8 points (-")
    assert lines[8] == "still: the same predictions in main and better"
    assert lines[10].startswith(
        "Where a variant was trained with one seed, this knows of the chance in documents alone"
    )


def test_the_working_tree_is_the_second_unless_named(compare):
    _, out, _ = compare("better", "--variant", "moved")
    assert "before: better; after: the working tree; " in out
    assert "moved is better in better than in the working tree by 10.0 points (8." in out


def test_no_better_than_the_largest_class_is_called_that(tmp_path):
    """Before it gets 600 of 1,000 wrong, and after 100."""
    write(tmp_path / "before", one=[slice(0, 600)])
    write(tmp_path / "after", one=[slice(0, 100)])
    before, after = Fixed(tmp_path / "before", "before", None), Fixed(tmp_path / "after", "after", None)
    (change,) = changes(before, after, ["one"], SETTINGS)
    assert change.better_than_majority == (False, True)
    sentence = f"one in before is not shown to be better than always answering dogs ({LABELS.mean():.1%})"
    assert readable_changes([change], 0.95).splitlines()[4:6] == [str(change), sentence]


def test_seeds_on_both_sides_need_no_warning(compare):
    _, out, _ = compare("main", "better", "--variant", "seeds")
    assert "one seed" not in out


def test_two_variants_across_commits(compare):
    _, out, _ = compare("main", "better", "-v", "moved:still")
    assert "still in better is better than moved in main by 10.0 points (8." in out


def test_json(compare):
    _, out, _ = compare("main", "better", "--json")
    found = {change["variant"]: change for change in map(json.loads, out.splitlines())}
    assert [change["shown"] for change in found.values()] == [True, False, False]
    assert [change["only"] for change in found.values()] == [None, None, "nothing"]
    assert [change["seeds"] for change in found.values()] == [[1, 1], [2, 2], [1, 1]]
    assert found["moved"]["p_holm"] == pytest.approx(3 * found["moved"]["p"])
    assert found["moved"]["difference"]["value"] == pytest.approx(0.1)
    assert found["moved"]["documents"] == 1000


def test_from_a_subfolder_and_a_project_inside_a_repository(compare, project, tmp_path):
    assert compare("main", "better", folder=project / "data") == compare("main", "better")
    shell(tmp_path, "git", "init", "--quiet")
    inside = tmp_path / "inside"
    inside.mkdir()
    shell(inside, "dvc", "init", "--quiet", "--subdir")
    (inside / "params.yaml").write_bytes((PROJECT / "params.yaml").read_bytes())
    write(inside, one=[slice(0, 100)])
    keep(inside, "main")
    assert "one: the same predictions in main and the working tree" in compare("main", folder=inside)[1]


MISTAKES = [
    (["nowhere"], "nowhere: unknown Git revision 'nowhere'"),
    (["main", "better", "-v", "gone"], "better: no variant 'gone'; there are moved, seeds, still"),
    (
        ["main", "other", "-v", "still"],
        "still: main and other were judged on different test splits (1,000 and 900 documents), "
        "which cannot be compared",
    ),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES, ids=["revision", "variant", "test split"])
def test_a_mistake_is_one_line(compare, arguments, message):
    assert compare(*arguments) == (1, "", f"error: {message}\n")


def test_a_commit_before_there_were_predictions(compare, project, tmp_path):
    shell(tmp_path, "git", "clone", "--quiet", "--branch", "main", str(project), "clone")
    clone = tmp_path / "clone"
    status, _, err = compare(folder=clone)
    assert (status, err.count("\n")) == (1, 1)
    assert "is not in DVC's cache; `dvc fetch --all-commits` brings it, if it was pushed" in err
    shell(clone, "git", "rm", "-r", "--quiet", "data")
    shell(clone, "git", "commit", "--quiet", "--message", "nothing")
    assert compare(folder=clone)[::2] == (
        1,
        "error: HEAD: no predictions: its dvc.yaml writes none to data/predictions\n",
    )


def test_predictions_of_another_version_are_said_to_be_such(compare, tmp_path):
    shell(tmp_path, "git", "init", "--quiet")
    shell(tmp_path, "dvc", "init", "--quiet")
    (tmp_path / "params.yaml").write_bytes((PROJECT / "params.yaml").read_bytes())
    (tmp_path / "data/predictions").mkdir(parents=True)
    pq.write_table(pa.table({"row": [1]}), tmp_path / "data/predictions/one.parquet")
    keep(tmp_path, "main")
    path = "data/predictions/one.parquet"
    message = f"error: main: {path}: damaged, or written by another version of flaxtext, and cannot be compared\n"
    assert compare("main", folder=tmp_path) == (1, "", message)


def test_outside_of_a_project(compare, tmp_path):
    message = f"error: {tmp_path}: not in a DVC project; run from the project's folder\n"
    assert compare(folder=tmp_path) == (1, "", message)
    shell(tmp_path, "dvc", "init", "--quiet", "--no-scm")
    (tmp_path / "params.yaml").write_bytes((PROJECT / "params.yaml").read_bytes())
    assert compare(folder=tmp_path) == (1, "", f"error: HEAD: {tmp_path} is not a git repository\n")


class Fixed:
    """A revision whose predictions and recipe are given."""

    def __init__(self, folder, name, recipe):
        self.name, self.variants, self.folder, self._recipe = name, ["one"], folder, recipe

    def read(self, variant):
        return read_predictions(self.folder / f"data/predictions/{variant}.parquet")

    def largest(self, _):
        return "dogs"

    def recipe(self, _):
        return self._recipe


@pytest.mark.parametrize(("recipe", "shown"), [({"epochs": 1}, True), ({"epochs": 2}, False), (None, True)])
def test_a_lucky_seed_is_no_improvement(tmp_path, recipe, shown):
    """Where dvc.lock knows of no difference but the seed, that of the predictions is chance, however large."""
    write(tmp_path / "before", one=[slice(0, 200)])
    write(tmp_path / "after", one=[slice(0, 100)])
    before, after = Fixed(tmp_path / "before", "before", {"epochs": 2}), Fixed(tmp_path / "after", "after", recipe)
    (change,) = changes(before, after, [], SETTINGS)
    assert (change.shown, change.p < 1e-9) == (shown, True)
    expected = "one is better in after than in before by" if shown else "which differ in the seed alone: +10.0 points"
    assert expected in str(change)


def test_a_loss_is_told_as_a_gain_of_the_other():
    figures = {"before": Estimate(0.9, 0.8, 1), "after": Estimate(0.8, 0.7, 0.9), "p": 0, "p_holm": 0, "only": None}
    for variant, says in {
        "a": "a is better in x than in y by 10.0",
        "a:b": "a in x is better than b in y by 10.0",
    }.items():
        change = Change(variant, ("x", "y"), 9, (1, 1), difference=Estimate(-0.1, -0.2, -0.04), shown=True, **figures)
        assert str(change) == f"{says} points (4.0 to 20.0)"
