"""The pipeline as a user runs it, on a small corpus in a copy of the project: what runs, what is restored."""

import csv
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from functools import partial

import copies
import pytest
import vl_convert
from conftest import PROJECT
from copies import copy_checkout, environment
from dvc.repo import Repo
from ruamel.yaml import YAML

from flaxtext.cli.set import edit as edit_params
from flaxtext.config import variant_names

ENVIRONMENT = environment(JAX_COMPILATION_CACHE_DIR=tempfile.mkdtemp(prefix="flaxtext-jax-"))  # not the user's
WORDS = {
    "cats": ["purr", "whisker", "meow", "claw", "tail", "kitten"],
    "dogs": ["bark", "leash", "fetch", "bone", "tail", "puppy"],
    "birds": ["tweet", "feather", "nest", "wing", "tail", "chick"],
}
PER_VARIANT = ["train", "evaluate", "explain"]


shell = partial(copies.shell, env=ENVIRONMENT)


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
    copy_checkout(folder)
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
        "train.min_steps=0",
        "train.patience=null",
        "train.calibrate=false",
        "train.batch_size=64",
        "explain.samples=200",
        "explain.faithfulness.samples=50",
        "variants={average_20: {pooling: mean, embed_dim: 20}, sum_20: {pooling: sum, embed_dim: 20}}",
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
    """The project as committed, and so again after the test."""
    yield project
    shell(project, "git", "checkout", "--quiet", ".")
    shell(project, "git", "clean", "--quiet", "-fd", "metrics")
    shell(project, "dvc", "checkout", "--quiet")


@pytest.fixture
def status(project, monkeypatch):
    """What `dvc status` says of the project, in this process; what the test changes in the project is undone."""
    monkeypatch.chdir(project)

    def changed():
        with Repo() as repo:
            return sorted(repo.status())

    yield changed
    shell(project, "git", "checkout", "--quiet", ".")


def test_a_second_run_runs_nothing(clean):
    assert repro(clean) == []
    assert shell(clean, "git", "status", "--porcelain") == ""


TRAINED = ["train@average_20", "train@sum_20"]
EVALUATED = ["evaluate@average_20", "evaluate@sum_20"]
EXPLAINED = ["explain@average_20", "explain@sum_20"]
ALL = [*TRAINED, *EVALUATED, *EXPLAINED]

CHANGES = [  # what is changed, the stages that read it, and those that run: some of them, and what depends on them
    (["variants.sum_20.embed_dim=8"], ["train@sum_20", "compare", "report"], [*of("sum_20"), "compare", "report"]),
    (
        ["variants.new={pooling: sum, embed_dim: 6}"],
        [*of("new"), "compare", "report"],
        [*of("new"), "compare", "report"],
    ),
    (["explain.words=5"], [*EXPLAINED, "report"], [*EXPLAINED, "report"]),
    (["explain.faithfulness.documents=5"], [*EXPLAINED, "report"], [*EXPLAINED, "report"]),
    (["report.mistakes=3"], ["report"], ["report"]),
    (["compare.resamples=100"], ["compare", "report"], ["compare", "report"]),
    (["evaluate.calibration_bins=5"], [*EVALUATED, "report"], [*EVALUATED, "report"]),
    (["train.epochs=1"], [*TRAINED, "report"], [*ALL, "compare", "report"]),
    (["check.similarity=0.6"], ["check", "report"], ["check", "report"]),
    (["train.max_len=4"], [*TRAINED, "report"], [*ALL, "compare", "report"]),
    (["vectorize.validation=0.2"], ["vectorize", "report"], ["vectorize", *ALL, "compare", "report"]),
    (
        ["vectorize.format=npz"],
        ["vectorize", *TRAINED, *EVALUATED, "report"],
        ["vectorize", *TRAINED, *EVALUATED, "report"],  # but the same models: nothing new to explain
    ),
    (  # more than there are: the same vocabulary
        ["build_vocab.max_words=1000"],
        ["build_vocab", "report"],
        ["build_vocab", "report"],
    ),
    (["data.verify=false"], ["download", "report"], ["download", "report"]),  # the same documents
    (["sources.ag_news.label=2"], [], []),  # not the source in use
    (["train.validation_from=test"], [*TRAINED, "report"], [*ALL, "compare", "report"]),
]
NAMES = [" ".join(assignments) for assignments, _, _ in CHANGES]


@pytest.mark.parametrize(("assignments", "reading"), [change[:2] for change in CHANGES], ids=NAMES)
def test_a_changed_line_marks_the_stages_that_read_it(project, status, assignments, reading):
    edit(project, *assignments)
    assert status() == sorted(reading)


@pytest.mark.parametrize(
    ("assignments", "ran"),
    [
        pytest.param(*change[::2], marks=pytest.mark.slow if name != "build_vocab.max_words=1000" else (), id=name)
        for name, change in zip(NAMES, CHANGES, strict=True)
    ],
)
def test_a_changed_line_runs_what_depends_on_it_and_its_revert_runs_nothing(clean, assignments, ran):
    """In the first of three tiers, `test_two_commits_differ_in_metrics_and_params` is another such change."""
    before = (clean / "params.yaml").read_bytes()
    edit(clean, *assignments)
    assert sorted(repro(clean)) == sorted(ran)
    (clean / "params.yaml").write_bytes(before)
    # The predictions of a variant that was taken out again still lie in the folder that compare depends on.
    assert repro(clean) == (["compare", "report"] if (clean / "data/predictions/new.parquet").exists() else [])
    (clean / "data/predictions/new.parquet").unlink(missing_ok=True)
    assert shell(clean, "git", "status", "--porcelain", "metrics/average_20.json", "metrics/sum_20.json") == ""


def test_a_changed_source_file_marks_download(project, status):
    path = project / "data/inputs/pets.csv"
    before = path.read_bytes()
    path.write_bytes(before + b"purr meow bone,cats\n")
    assert status() == ["build_vocab", "download"]
    path.write_bytes(before)
    assert status() == []


@pytest.mark.slow
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


def test_two_commits_differ_in_metrics_and_params(clean):
    before = (clean / "params.yaml").read_bytes()
    edit(clean, "variants.sum_20.embed_dim=3")
    assert sorted(repro(clean)) == sorted([*of("sum_20"), "compare", "report"])
    commit(clean, "second")
    try:
        figures = json.loads(shell(clean, "dvc", "metrics", "diff", "HEAD~1", "HEAD", "--json"))
        assert figures["metrics/sum_20.json"]["parameters"]["diff"] < 0
        names = ["comparison", "explanations/sum_20", "sum_20"]
        assert sorted(figures) == ["data/validation/sum_20.json", *(f"metrics/{name}.json" for name in names)]
        changed = json.loads(shell(clean, "dvc", "params", "diff", "HEAD~1", "HEAD", "--json"))
        assert changed["params.yaml"] == {"variants.sum_20.embed_dim": {"old": 20, "new": 3, "diff": -17}}
        (clean / "params.yaml").write_bytes(before)
        assert repro(clean) == []
        assert shell(clean, "git", "diff", "--name-only", "HEAD~1", "--", "metrics", "params.yaml") == ""
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


@pytest.mark.parametrize(
    ("grid", "trained"),
    [
        (["learning_rate=1e30"], 1),
        pytest.param(["embed_dim=3", "learning_rate=0.05,1e30"], 2, marks=pytest.mark.slow),
    ],
)
def test_a_sweep_tries_values_on_validation_and_leaves_all_as_it_was(clean, grid, trained):
    def files():
        return {path: path.read_bytes() for name in ("data", "metrics") for path in (clean / name).rglob("*.*")}

    before = files()
    sweep = ["python", "-m", "flaxtext", "sweep", "sum_20", "--minutes"]
    printed = shell(clean, *sweep, "5", *grid)
    assert f"1/{trained + 1}" in printed
    tried = " ".join([*grid[:-1], "learning_rate=1e30"])
    assert f"{tried} failed: error: epoch 1: the loss is no longer finite" in printed
    accuracies = [float(figure) for figure in re.findall(r"^\w+-\w+ +(\d\.\d{4}) ", printed, re.MULTILINE)]
    assert len(accuracies) == trained
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


@pytest.mark.slow
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
sys.path.insert(0, "stages")
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def command_of(folder, stage):
    lock = YAML(typ="safe").load(folder / "dvc.lock")["stages"][stage]
    return lock["cmd"].split()[1:], [out["path"] for out in lock["outs"]]


def content(path):
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return {file.name: file.read_bytes() for file in files}


STAGES = [
    *("download", "build_vocab", "check", "vectorize", "train@sum_20", "evaluate@sum_20", "explain@sum_20"),
    *("compare", "report"),
]


@pytest.mark.parametrize(
    "stage", [pytest.param(name, marks=pytest.mark.slow if name != "vectorize" else ()) for name in STAGES]
)
def test_a_stage_killed_as_it_finishes_leaves_no_half_output(clean, stage):
    command, outs = command_of(clean, stage)
    whole = {out: content(clean / out) for out in outs}
    for renames in range(len(outs)):
        for out in outs:
            path = clean / out
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        ended = subprocess.run(
            [sys.executable, "-c", KILL, str(renames), *command],
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


@pytest.mark.stress
def test_a_pipeline_killed_at_any_moment_leaves_no_half_output_and_ends_the_same(clean):
    """Forty times, DVC and the stage that runs are killed together, as when a machine loses power."""
    lock = YAML(typ="safe").load(clean / "dvc.lock")["stages"]
    whole = {out["path"]: content(clean / out["path"]) for stage in lock.values() for out in stage["outs"]}
    started = time.monotonic()
    shell(clean, "dvc", "repro", "--force")
    seconds = time.monotonic() - started
    rng = random.Random(0)  # noqa: S311
    for _ in range(40):
        process = subprocess.Popen(
            ["dvc", "repro", "--force"],
            cwd=clean,
            env=ENVIRONMENT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        with suppress(subprocess.TimeoutExpired):
            process.wait(rng.uniform(0, seconds))
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert all(content(clean / out) == whole[out] for out in whole if (clean / out).exists())
    repro(clean)
    assert {out: content(clean / out) for out in whole} == whole
