"""dvc.yaml names all that a stage reads: the cache is truthful."""

import shutil
from pathlib import Path

import pytest
from conftest import PROJECT
from dvc.fs import localfs
from dvc.repo import Repo
from ruamel.yaml import YAML

DVC = YAML(typ="safe").load(PROJECT / "dvc.yaml")
PARAMS = YAML(typ="safe").load(PROJECT / "params.yaml")
STAGES = {name: stage.get("do", stage) for name, stage in DVC["stages"].items()}
CODE = ("stages/", "flaxtext/")


def test_each_stage_has_its_script_and_its_section_of_params():
    assert list(STAGES) == [path for path in STAGES if (PROJECT / "stages" / f"{path}.py").is_file()]
    for name, stage in STAGES.items():
        section = "data" if name == "download" else name
        assert section in PARAMS
        assert section in stage["params"]
        assert stage["desc"]


def test_it_is_a_table_of_contents_that_one_reads():
    assert len((PROJECT / "dvc.yaml").read_text(encoding="utf-8").splitlines()) <= 480
    for name, stage in STAGES.items():
        is_code = [dep.startswith(CODE) for dep in stage["deps"]]
        assert is_code == sorted(is_code), f"{name}: code stands last"


def test_what_python_editors_and_desktops_leave_beside_the_code_is_no_dependency(tmp_path):
    shutil.copyfile(PROJECT / ".dvcignore", tmp_path / ".dvcignore")
    folder = tmp_path / "flaxtext" / "core"
    left = ["__pycache__/params.cpython-311.pyc", ".DS_Store", ".params.py.swp", "params.py~"]
    for name in ["params.py", "templates/card.md", *left]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    with Repo.init(str(tmp_path), no_scm=True) as repo:
        found = [Path(path).name for path in repo.dvcignore.find(localfs, str(folder))]
    assert sorted(found) == ["card.md", "params.py"]


def test_the_report_depends_on_every_section_that_it_shows():
    sections = [key.replace("sources.${data.source}", "sources") for key in STAGES["report"]["params"]]
    assert sections == list(PARAMS)


def words_of(command):
    return [word for word in command.split() if "/" in word or word == "metrics"]


@pytest.mark.parametrize("name", STAGES)
def test_the_command_names_the_data_that_the_stage_depends_on_and_writes(name):
    stage = STAGES[name]
    outs = [
        next(iter(out)) if isinstance(out, dict) else out
        for kind in ("outs", "plots", "metrics")
        for out in stage.get(kind, [])
    ]
    others = (*CODE, "requirements.lock", "data/inputs")
    deps = [dep for dep in stage["deps"] if not dep.startswith(others)]
    assert sorted({*deps, *outs}) == sorted(set(words_of(stage["cmd"])) - {f"stages/{name}.py"})


@pytest.mark.parametrize("name", STAGES)
def test_every_params_key_exists(name):
    for key in STAGES[name]["params"]:
        resolved = key.replace("${key}", next(iter(PARAMS["variants"]))).replace(
            "${data.source}", PARAMS["data"]["source"]
        )
        place = PARAMS
        for part in resolved.split("."):
            assert part in place, key
            place = place[part]


@pytest.mark.parametrize("name", STAGES)
def test_what_is_put_into_a_command_is_a_param_or_a_path_of_the_stage(name):
    """A value put into `cmd` alone would go stale; one in a path of deps or outs shows there."""
    stage = STAGES[name]
    pieces = [piece.split("}")[0] for piece in stage["cmd"].split("${")[1:]]
    paths = " ".join(str(stage.get(kind, "")) for kind in ("deps", "outs"))
    for piece in pieces:
        assert "${" + piece + "}" in paths


def test_only_small_metrics_are_kept_out_of_the_cache():
    """One output outside the cache would switch off a stage's run cache, which train is not to lose."""
    for name, stage in STAGES.items():
        assert all(isinstance(out, str) for out in stage.get("outs", []))
        for metric in stage.get("metrics", []):
            if name == "train":
                assert metric == "data/validation/${key}.json"
            else:
                ((path, settings),) = metric.items()
                assert path.startswith("metrics/")
                assert settings == {"cache": False}


def test_plots_and_artifacts_name_every_variant():
    for plot in DVC["plots"]:
        ((_, settings),) = plot.items()
        assert [Path(path).stem for path in settings["y"]] == list(PARAMS["variants"])
    assert [Path(artifact["path"]).name for artifact in DVC["artifacts"].values()] == list(PARAMS["variants"])


def test_the_data_and_every_variant_have_metrics_in_git():
    assert {path.stem for path in (PROJECT / "metrics").glob("*.json")} == {*PARAMS["variants"], "comparison", "data"}
