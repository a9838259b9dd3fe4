"""A stage runs the code beside it, whichever checkout the environment's editable install names.

So it is in a queued experiment and in one in a temporary folder, both of which DVC runs in a copy of the project, in a
second clone, and in a worktree. Otherwise DVC's run cache would keep what one code made as made by another.
"""

import csv
import os
import random
import re
import subprocess
import sys
import venv
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import PROJECT
from copies import copy_checkout, environment, shell
from ruamel.yaml import YAML

pytestmark = pytest.mark.slow

STAGE = "build_vocab"
MODULE = "flaxtext/text/vocabulary.py"
"""The module by which STAGE writes its vocabulary, with `pyarrow.parquet.write_table`."""
VOCABULARY = "data/vocab.parquet"
CHANGE = """
import pyarrow.parquet
print("changed code runs:", __file__)
_write_table = pyarrow.parquet.write_table
pyarrow.parquet.write_table = lambda table, *args, **kwargs: _write_table(table.slice(0, 3), *args, **kwargs)
"""
"""Code that says that it runs, and keeps three words only."""
WORDS = ["purr", "meow", "bark", "bone", "tail"]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """A small project under Git, STAGE run."""
    folder = tmp_path_factory.mktemp("checkout") / "workspace"
    copy_checkout(folder)
    (folder / "requirements.lock").write_text("", encoding="utf-8")  # the corpus comes from no package
    rng = random.Random(0)  # noqa: S311
    with (folder / "data/inputs/pets.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "label"])
        rows.writerows([" ".join(rng.choices(WORDS, k=5)), label] for label in "ab" * 30)
    yaml = YAML()
    params = yaml.load(folder / "params.yaml")
    params["sources"]["pets"] = {"train": "data/inputs/pets.csv"}
    params["data"]["source"] = "pets"
    yaml.dump(params, folder / "params.yaml")
    return folder


@pytest.fixture(scope="module")
def env(workspace):
    """The environment of a virtual environment in which the workspace is installed as editable: by a path in a file.

    Its path comes last, after the folder with the other packages.
    """
    folder = workspace.parent / "venv"
    venv.create(folder, symlinks=True)
    (site_packages,) = folder.glob("lib/python*/site-packages")
    packages = Path(pa.__file__).parents[1]  # whose own .pth files aren't read
    (site_packages / "flaxtext.pth").write_text(f"{packages}\n{workspace}\n", encoding="utf-8")
    (folder / "bin/dvc").write_text(f"#!{folder}/bin/python\nfrom dvc.cli import main\nraise SystemExit(main())\n")
    (folder / "bin/dvc").chmod(0o755)
    changes = {"PATH": f"{folder}/bin:{environment()['PATH']}", "VIRTUAL_ENV": str(folder)}
    return {name: value for name, value in environment(**changes).items() if name != "PYTHONPATH"}


@pytest.fixture(scope="module")
def run(workspace, env):
    """Return a function that runs a command in the workspace, or elsewhere, and returns what it printed."""

    def run(*command, folder=workspace):
        return shell(folder, *command, env=env)

    run("git", "init", "--quiet")
    run("dvc", "repro", STAGE)
    run("git", "add", "--all")
    run("git", "commit", "--quiet", "--message", "the project")
    return run


def code_that_ran(printed):
    """Where the changed code lay that ran."""
    return [Path(path) for path in re.findall(r"changed code runs: (.*)", printed)]


def words(folder):
    return pq.read_table(folder / VOCABULARY).num_rows


def test_the_editable_install_is_what_other_scripts_import(run, workspace, tmp_path):
    """Or nothing is tested here."""
    printed = run("python", "-c", "import flaxtext; print(flaxtext.__file__)", folder=tmp_path)
    assert printed == f"{workspace}/flaxtext/__init__.py\n"


def test_a_queued_experiment_runs_the_code_that_it_recorded(run, workspace):
    module = workspace / MODULE
    before = module.read_text(encoding="utf-8")
    all_words = words(workspace)
    module.write_text(before + CHANGE, encoding="utf-8")
    run("dvc", "exp", "run", "--queue", "--name", "queued", STAGE)
    module.write_text(before, encoding="utf-8")
    run("dvc", "queue", "start")  # its output ends when the worker does, some seconds after the last experiment
    printed = run("dvc", "queue", "logs", "--follow", "queued")
    (ran,) = code_that_ran(printed)
    assert ran.is_relative_to(workspace / ".dvc/tmp/exps")
    assert ran.as_posix().endswith(MODULE)

    # What the run cache now has under each code's checksums is what that code makes.
    module.write_text(before + CHANGE, encoding="utf-8")
    run("dvc", "repro", STAGE)
    assert words(workspace) == 3 < all_words
    module.write_text(before, encoding="utf-8")
    run("dvc", "repro", STAGE)
    assert words(workspace) == all_words


def test_an_experiment_in_a_temporary_folder_runs_its_copy(run, workspace):
    module = workspace / MODULE
    before = module.read_text(encoding="utf-8")
    module.write_text(f"{before}\n# another\n{CHANGE}", encoding="utf-8")
    try:
        (ran,) = code_that_ran(run("dvc", "exp", "run", "--temp", STAGE))
    finally:
        module.write_text(before, encoding="utf-8")
    assert ran.is_relative_to(workspace / ".dvc/tmp/exps")


@pytest.mark.parametrize("command", [("clone", "--quiet", "."), ("worktree", "add", "--quiet", "--detach")])
def test_another_checkout_that_shares_the_environment_runs_its_own_code(run, tmp_path, command):
    other = tmp_path / "other"
    run("git", *command, str(other))
    with (other / MODULE).open("a", encoding="utf-8") as file:
        file.write(CHANGE)
    assert code_that_ran(run("dvc", "repro", STAGE, folder=other)) == [other / MODULE]
    assert words(other) == 3
    script = str(other / f"stages/{STAGE}.py")
    assert code_that_ran(run("python", script, "--help", folder=tmp_path)) == [other / MODULE]


def test_a_stage_refuses_to_run_other_code(run, env, tmp_path):
    """As where another flaxtext was imported before."""
    other = tmp_path / "other"
    run("git", "clone", "--quiet", ".", str(other))
    program = f"import sys; sys.path.remove(''); import flaxtext; sys.path.insert(0, 'stages'); import {STAGE}"
    ended = subprocess.run(["python", "-c", program], cwd=other, env=env, capture_output=True, text=True)
    assert ended.returncode != 0
    assert "error: " in ended.stderr
    assert str(other) in ended.stderr


def test_a_python_without_the_packages_is_one_line(tmp_path):
    alone = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", alone], check=True)
    command = [alone / "bin/python", PROJECT / "stages/train.py", "any"]
    ended = subprocess.run(command, capture_output=True, text=True, env={"PATH": os.environ["PATH"]})
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("error: this Python lacks flaxtext's packages; run `source .venv/bin/activate`")
    assert len(ended.stderr.splitlines()) == 1
