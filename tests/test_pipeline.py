"""The pipeline as a user runs it, on a small corpus in a copy of the project: what runs, what is restored."""

import csv
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile

import pytest
import vl_convert
from conftest import PROJECT
from dvc.repo import Repo
from ruamel.yaml import YAML

from flaxtext.cli.set import edit as edit_params
from flaxtext.config.section import variant_names

BIN = str(PROJECT / ".venv/bin") if (PROJECT / ".venv/bin/dvc").exists() else os.path.dirname(sys.executable)  # noqa: PTH120
ENVIRONMENT = {
    **os.environ,
    "PATH": os.pathsep.join([BIN, os.environ["PATH"]]),
    "PYTHONDONTWRITEBYTECODE": "1",
    "JAX_COMPILATION_CACHE_DIR": tempfile.mkdtemp(prefix="flaxtext-jax-"),  # not the user's
    "PYTHONPATH": ".",  # the copy's flaxtext, not the one installed
    "GIT_AUTHOR_NAME": "tests",
    "GIT_AUTHOR_EMAIL": "tests@example.org",
    "GIT_COMMITTER_NAME": "tests",
    "GIT_COMMITTER_EMAIL": "tests@example.org",
}
WORDS = {
    "cats": ["purr", "whisker", "meow", "claw", "tail", "kitten"],
    "dogs": ["bark", "leash", "fetch", "bone", "tail", "puppy"],
    "birds": ["tweet", "feather", "nest", "wing", "tail", "chick"],
}
PER_VARIANT = ["train", "evaluate", "explain"]


def shell(folder, *command, check=True):
    """Run a command in `folder` and return what it printed."""
    ended = subprocess.run(
        command, cwd=folder, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert not check or ended.returncode == 0, ended.stdout
    return ended.stdout


def repro(folder, *stages):
    """Run `dvc repro` and return the stages that it ran, in order."""
    return re.findall(r"Running stage '(.+?)'", shell(folder, "dvc", "repro", *stages))


def commit(folder, message):
    shell(folder, "git", "add", "--all")
    shell(folder, "git", "commit", "--quiet", "--message", message)


def edit(folder, *assignments):
    edit_params(list(assignments), folder / "params.yaml")


def add_source(folder, name, lines):
    path = folder / "params.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("sources:\n", f"sources:\n  {name}: {lines}\n"))


def of(*variants):
    return sorted(f"{stage}@{variant}" for stage in PER_VARIANT for variant in variants)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project with a corpus of 300 documents and two variants, all stages run and committed."""
    folder = tmp_path_factory.mktemp("pipeline") / "project"
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.splitlines():
        left_out = name in ("dvc.lock", "requirements.lock") or name.startswith(("tests/", "bench/", "metrics/"))
        if (PROJECT / name).is_file() and not left_out:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(PROJECT / name, folder / name)
    (folder / "requirements.lock").touch()
    rng = random.Random(0)  # noqa: S311
    with (folder / "data/inputs/pets.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["text", "label"])
        rows.writerows([" ".join(rng.choices(WORDS[label], k=rng.randint(2, 9))), label] for label in list(WORDS) * 100)
    add_source(folder, "pets", "{train: data/inputs/pets.csv}")
    edit(
        folder,
        "data.source=pets",
        "train.epochs=2",
        "train.batch_size=64",
        "explain.samples=200",
        "explain.faithfulness.samples=50",
        "variants={average_20: {pooling: padded_mean, embed_dim: 20}, sum_20: {pooling: padded_sum, embed_dim: 20}}",
    )
    others = "|".join(set(variant_names(PROJECT / "params.yaml")) - {"average_20", "sum_20"})
    text = (folder / "dvc.yaml").read_text(encoding="utf-8")  # where plots and artifacts name each variant, on a line
    (folder / "dvc.yaml").write_text(re.sub(rf"\n.*data/(history|models)/({others})\b.*", "", text))
    shell(folder, "git", "init", "--quiet")
    ran = repro(folder)
    assert ran[:4] == ["download", "build_vocab", "check", "vectorize"]
    assert sorted(ran[4:-1]) == sorted([*of("average_20", "sum_20"), "compare"])
    assert ran[-1] == "report"
    commit(folder, "first")
    return folder


@pytest.fixture
def clean(project):
    """The project as committed, before and after the test."""

    def restore():
        shell(project, "git", "checkout", "--quiet", ".")
        shell(project, "git", "clean", "--quiet", "-fd", "metrics")
        shell(project, "dvc", "checkout", "--quiet")

    restore()
    yield project
    restore()


def test_a_second_run_runs_nothing(clean):
    assert repro(clean) == []
    assert shell(clean, "git", "status", "--porcelain") == ""


PREDICTIONS = ["evaluate@average_20", "evaluate@sum_20", "train@average_20", "train@sum_20"]

CHANGES = [
    (["variants.sum_20.embed_dim=8"], ["compare", *of("sum_20"), "report"]),
    (["variants.new={pooling: sum, embed_dim: 6}"], ["compare", *of("new"), "report"]),
    (["explain.words=5"], ["explain@average_20", "explain@sum_20", "report"]),
    (["explain.faithfulness.documents=5"], ["explain@average_20", "explain@sum_20", "report"]),
    (["report.mistakes=3"], ["report"]),
    (["compare.resamples=100"], ["compare", "report"]),
    (["evaluate.calibration_bins=5"], ["evaluate@average_20", "evaluate@sum_20", "report"]),
    (["train.epochs=1"], ["compare", *of("average_20", "sum_20"), "report"]),
    (["check.similarity=0.6"], ["check", "report"]),
    (["vectorize.max_len=4"], ["check", "compare", *of("average_20", "sum_20"), "report", "vectorize"]),
    (
        ["vectorize.format=npz"],
        [*PREDICTIONS, "report", "vectorize"],
    ),  # but the same models: nothing new to explain
    (["build_vocab.max_words=1000"], ["build_vocab", "report"]),  # more than there are: the same vocabulary
    (["data.verify=false"], ["download", "report"]),  # the same documents
    (["sources.ag_news.label=2"], []),  # not the source in use
    (["train.validation_from=test"], ["compare", *of("average_20", "sum_20"), "report"]),
]


@pytest.mark.parametrize(("assignments", "expected"), CHANGES, ids=[" ".join(change) for change, _ in CHANGES])
def test_a_changed_line_runs_what_depends_on_it_and_its_revert_runs_nothing(clean, assignments, expected):
    before = (clean / "params.yaml").read_bytes()
    edit(clean, *assignments)
    assert sorted(repro(clean)) == sorted(expected)
    (clean / "params.yaml").write_bytes(before)
    # The predictions of a variant that was taken out again still lie in the folder that compare depends on.
    assert repro(clean) == (["compare", "report"] if (clean / "data/predictions/new.parquet").exists() else [])
    (clean / "data/predictions/new.parquet").unlink(missing_ok=True)
    assert shell(clean, "git", "status", "--porcelain", "metrics/average_20.json", "metrics/sum_20.json") == ""


def test_a_changed_source_file_is_seen(clean):
    path = clean / "data/inputs/pets.csv"
    path.write_text(path.read_text(encoding="utf-8") + "purr meow bone,cats\n", encoding="utf-8")
    assert repro(clean)[:4] == ["download", "build_vocab", "check", "vectorize"]


def test_an_exceeded_limit_stops_before_training_and_a_relaxed_one_trains_nothing(clean):
    edit(clean, "check.max_duplicates=0")
    printed = shell(clean, "dvc", "repro", check=False)
    assert re.findall(r"Running stage '(.+?)'", printed) == ["check"]
    assert "error: params.yaml: check.max_duplicates: the limit is 0, train has 0." in printed
    assert "Traceback" not in printed
    assert json.loads((clean / "metrics/data.json").read_text())["train"]["duplicates"] > 0  # written, to be looked at

    edit(clean, "train.epochs=1")
    printed = shell(clean, "dvc", "repro", check=False)
    assert re.findall(r"Running stage '(.+?)'", printed) == ["check"]
    edit(clean, "train.epochs=2", "check.max_duplicates=0.9")
    assert repro(clean) == ["check", "report"]  # the report shows every parameter


def test_metrics_and_params_diff_between_two_commits(clean):
    edit(clean, "variants.sum_20.embed_dim=3")
    repro(clean)
    commit(clean, "second")
    try:
        figures = json.loads(shell(clean, "dvc", "metrics", "diff", "HEAD~1", "HEAD", "--json"))
        assert figures["metrics/sum_20.json"]["parameters"]["diff"] < 0
        names = ["comparison", "explanations/sum_20", "sum_20"]
        assert sorted(figures) == ["data/validation/sum_20.json", *(f"metrics/{name}.json" for name in names)]
        changed = json.loads(shell(clean, "dvc", "params", "diff", "HEAD~1", "HEAD", "--json"))
        assert changed["params.yaml"] == {"variants.sum_20.embed_dim": {"old": 20, "new": 3, "diff": -17}}
    finally:
        shell(clean, "git", "reset", "--quiet", "--hard", "HEAD~1")


def test_a_teammate_pulls_and_runs_nothing(clean, tmp_path):
    shell(clean, "dvc", "remote", "add", "--local", "--default", "--force", "team", str(tmp_path / "remote"))
    shell(clean, "dvc", "push")
    shell(tmp_path, "git", "clone", "--quiet", str(clean), "clone")
    clone = tmp_path / "clone"
    shell(clone, "dvc", "remote", "add", "--local", "--default", "team", str(tmp_path / "remote"))
    shell(clone, "dvc", "pull")
    shutil.copyfile(clean / "data/inputs/pets.csv", clone / "data/inputs/pets.csv")  # not in Git, not a stage's output
    assert repro(clone) == []
    assert (clone / "data/models/sum_20/model.safetensors").is_file()


def test_a_sweep_tries_values_on_validation_and_leaves_all_as_it_was(clean):
    def files():
        return {path: path.read_bytes() for name in ("data", "metrics") for path in (clean / name).rglob("*.*")}

    before = files()
    sweep = ["python", "-m", "flaxtext.cli.sweep", "sum_20", "--minutes"]
    printed = shell(clean, *sweep, "5", "embed_dim=3", "learning_rate=0.05,1e30")
    assert "1/3" in printed
    assert "embed_dim=3 learning_rate=1e30 failed: error: epoch 1: the loss is no longer finite" in printed
    accuracies = [float(figure) for figure in re.findall(r"^\w+-\w+ +(\d\.\d{4}) ", printed, re.MULTILINE)]
    assert len(accuracies) == 2
    assert accuracies == sorted(accuracies, reverse=True)
    assert files() == before
    assert shell(clean, "git", "status", "--porcelain") == ""
    shell(clean, "dvc", "exp", "remove", "--all-commits")
    assert "no experiment finished" in shell(clean, *sweep, "0.01", "embed_dim=3", check=False)


def test_plots_show_every_variant(clean):
    page = shell(clean, "dvc", "plots", "show", "--json")
    plots = json.loads(page)
    assert plots.get("errors", []) == []
    assert {"validation_accuracy", "train_loss"} <= set(plots["data"])
    curve = str(plots["data"]["validation_accuracy"][0]["content"])
    assert "average_20" in curve
    assert "sum_20" in curve
    assert {"data/confusion/average_20.csv", "data/confusion/sum_20.csv"} <= set(plots["data"])
    (intervals,) = plots["data"]["data/comparison/accuracy.csv"]
    assert {row["variant"] for row in intervals["content"]["data"]["values"]} == {"average_20", "sum_20"}
    assert vl_convert.vegalite_to_svg(intervals["content"], vl_version="5.8").startswith("<svg")


def test_two_commits_that_differ_in_the_seed_alone_show_no_difference(clean):
    edit(clean, "variants.sum_20.seed=1", "variants.sum_20.seeds=2")
    repro(clean, "compare")
    commit(clean, "other seeds")
    try:
        printed = shell(clean, "python", "-m", "flaxtext", "compare", "HEAD~1", "HEAD", "--json")
        average, total = map(json.loads, printed.splitlines())
        assert (average["variant"], average["only"]) == ("average_20", "nothing")
        assert (total["variant"], total["seeds"], total["only"], total["shown"]) == (
            "sum_20",
            [1, 2],
            "the seed",
            False,
        )
        assert "no difference shown between HEAD~1 and HEAD, which differ in the seed alone: " in total["says"]
        compared = json.loads((clean / "metrics/comparison.json").read_text())["variants"]
        assert compared["sum_20"]["seeds"]["mean"] == compared["sum_20"]["accuracy"]["value"]
        assert "seeds" not in compared["average_20"]
    finally:
        shell(clean, "git", "reset", "--quiet", "--hard", "HEAD~1")


KILL = """
import os, pathlib, runpy, signal, sys
left = int(sys.argv.pop(1))
rename = pathlib.Path.replace
def replace(source, target):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return rename(source, target)
pathlib.Path.replace = replace
sys.argv.pop(0)
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def command_of(folder, stage):
    lock = YAML(typ="safe").load(folder / "dvc.lock")["stages"][stage]
    return lock["cmd"].split()[1:], [out["path"] for out in lock["outs"]]


def content(path):
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return {file.name: file.read_bytes() for file in files}


@pytest.mark.parametrize(
    "stage",
    [
        "download",
        "build_vocab",
        "check",
        "vectorize",
        "train@sum_20",
        "evaluate@sum_20",
        "explain@sum_20",
        "compare",
        "report",
    ],
)
def test_a_stage_killed_as_it_finishes_leaves_no_half_output(clean, stage):
    command, outs = command_of(clean, stage)
    whole = {out: content(clean / out) for out in outs}
    for renames in range(len(outs)):
        for out in outs:
            path = clean / out
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        ended = subprocess.run(
            [f"{BIN}/python", "-c", KILL, str(renames), *command],
            cwd=clean,
            env=ENVIRONMENT,
            capture_output=True,
            check=False,
        )
        assert ended.returncode == -9, ended.stderr.decode()
        left = [out for out in outs if (clean / out).exists()]
        assert len(left) < len(outs)  # so that DVC knows the stage did not end
        assert all(content(clean / out) == whole[out] for out in left)
    shell(clean, "dvc", "repro", "--force", "--single-item", stage)
    assert {out: content(clean / out) for out in outs} == whole
