"""A change to a file of code marks the stages that import it, and no others: the tool, and what DVC makes of it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PROJECT
from copies import copy_checkout, shell
from dvc.repo import Repo

from tools.dependencies import Code, differences, read_deps, rewritten

CODE = Code(PROJECT)
STAGES = list(read_deps((PROJECT / "dvc.yaml").read_text(encoding="utf-8")))
SCRIPTS = {stage: f"stages/{stage}.py" for stage in STAGES}


def test_the_deps_of_dvc_yaml_are_what_the_stages_import():
    text = (PROJECT / "dvc.yaml").read_text(encoding="utf-8")
    assert differences(text, rewritten(text, CODE)) == [], "run `python -m tools.dependencies`"


def test_no_stage_imports_what_the_tool_does_not_see():
    reached = frozenset[str]().union(*map(CODE.needed, SCRIPTS.values()))
    modules = sorted(path for path in reached if path.endswith(".py") and path != "flaxtext/__init__.py")
    assert [line for path in modules for line in CODE.hidden_imports(path)] == []


def test_each_file_that_is_no_module_is_read_by_one():
    read = frozenset[str]().union(*(CODE.directly(path) for path in CODE.files if path.endswith(".py")))
    assert [path for path in CODE.data if path not in read] == []


@pytest.fixture
def up_to_date(tmp_path, monkeypatch):
    """A copy of the checkout where DVC finds nothing to do. The data are placeholders: only code is to change."""
    copy_checkout(tmp_path)
    shell(tmp_path, "git", "init", "--quiet")
    monkeypatch.chdir(tmp_path)
    with Repo() as repo:
        # A model's folder may be a file here; a folder of several stages' outputs is there once they are.
        for item in [*repo.index.outs, *repo.index.deps]:
            path = tmp_path / item.def_path
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("placeholder", encoding="utf-8")
        repo.commit(force=True)
        yield repo


@pytest.mark.slow
def test_dvc_marks_the_stages_that_import_a_changed_file_and_no_others(up_to_date, tmp_path):
    names = [stage.name for stage in up_to_date.index.stages]
    assert {name.partition("@")[0] for name in names} == set(STAGES)
    assert up_to_date.status() == {}
    wrong = {}
    for path in CODE.files:
        before = (tmp_path / path).read_bytes()
        (tmp_path / path).write_bytes(before + b"# a comment\n")
        marked = sorted(up_to_date.status())
        (tmp_path / path).write_bytes(before)
        expected = sorted(name for name in names if path in CODE.needed(SCRIPTS[name.partition("@")[0]]))
        if marked != expected:
            wrong[path] = {"marked": marked, "expected": expected}
    assert wrong == {}
    assert up_to_date.status() == {}


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_the_modules_that_a_script_loads_are_among_those_that_the_tool_finds(stage):
    program = f"""
import json, sys
sys.path[:0] = ["stages", "."]
import {stage}
print(json.dumps([module.__file__ for module in sys.modules.values() if getattr(module, "__file__", None)]))
"""
    ended = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True)
    files = [Path(file) for file in json.loads(ended.stdout)]
    tops = [PROJECT / "stages", PROJECT / "flaxtext"]
    loaded = {file.relative_to(PROJECT).as_posix() for file in files if any(top in file.parents for top in tops)}
    assert SCRIPTS[stage] in loaded
    assert loaded <= CODE.needed(SCRIPTS[stage])


FILES = {
    "stages/one.py": "import sys, helper\nfrom flaxtext.a import plain\n",
    "stages/helper.py": "",
    "stages/unused.py": "",
    "flaxtext/__init__.py": "def __getattr__(name):\n    from flaxtext.b import late\n    return late.load\n",
    "flaxtext/py.typed": "",
    "flaxtext/a/__init__.py": "",
    "flaxtext/a/plain.py": "",
    "flaxtext/a/other.py": "",
    "flaxtext/b/__init__.py": "",
    "flaxtext/b/late.py": "load = 1\n",
    "flaxtext/b/deep/__init__.py": "",
    "flaxtext/b/deep/leaf.py": "",
    "flaxtext/b/deep/templates/page.html": "",
    "flaxtext/b/deep/templates/parts/style.css": "",
}
BARE = {"stages/one.py", "stages/helper.py", "flaxtext/__init__.py", "flaxtext/a/__init__.py", "flaxtext/a/plain.py"}
B = {"flaxtext/b/__init__.py"}
DEEP = {*B, "flaxtext/b/deep/__init__.py"}
LEAF = {*DEEP, "flaxtext/b/deep/leaf.py"}
TEMPLATES = {"flaxtext/b/deep/templates/page.html", "flaxtext/b/deep/templates/parts/style.css"}


@pytest.fixture
def tree(tmp_path):
    """Write a small project with changed files, and return its code."""

    def write(**changed):
        for path, text in FILES.items():
            file = tmp_path / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(changed.get(file.stem, text), encoding="utf-8")
        return Code(tmp_path)

    return write


@pytest.mark.parametrize(
    ("plain", "further"),
    [
        ("", set()),
        ("import flaxtext.b.late", {*B, "flaxtext/b/late.py"}),
        ("import flaxtext.b.deep.leaf as leaf", LEAF),
        ("from flaxtext.b import late", {*B, "flaxtext/b/late.py"}),
        ("from flaxtext.b.late import load", {*B, "flaxtext/b/late.py"}),
        ("from flaxtext.b import deep", DEEP),
        ("from ..b.deep import leaf", LEAF),
        ("from . import other", {"flaxtext/a/other.py"}),
        ("def f():\n    from flaxtext.b.deep import leaf", LEAF),
        (
            "class C:\n    def f(self):\n        if self:\n            import flaxtext.b.late",
            {*B, "flaxtext/b/late.py"},
        ),
        ("try:\n    import numpy\nexcept ImportError:\n    from flaxtext import b", B),
        ("def __getattr__(name):\n    from flaxtext import b", B),  # only the top package's doesn't count
        ("if TYPE_CHECKING:\n    from flaxtext import b", set()),
        ("if typing.TYPE_CHECKING:\n    pass\nelse:\n    from flaxtext import b", B),
        ("import flaxtext", set()),
        ("import numpy, no_such.module", set()),
    ],
)
def test_what_a_module_imports(tree, plain, further):
    assert tree(plain=plain).needed("stages/one.py") == BARE | further


def test_a_module_needs_the_data_beside_it_that_it_names(tree):
    plain = "from flaxtext.b.deep import leaf"
    for leaf in ('F = "templates"', 'F = here("templates/")', '"""Renders templates."""', 'F = "templates of"'):
        assert tree(plain=plain, leaf=leaf).needed("stages/one.py") & TEMPLATES == (
            TEMPLATES if leaf == 'F = "templates"' else set()
        )
    assert tree(plain=plain, leaf='F = "templates/page.html"').needed("stages/one.py") & TEMPLATES == {
        "flaxtext/b/deep/templates/page.html"
    }
    assert tree(plain='F = "templates"').needed("stages/one.py") == BARE  # it has none


def test_a_folder_that_is_needed_as_a_whole_stands_for_its_files(tree):
    scripts = ["stages/one.py", "stages/helper.py", "flaxtext/__init__.py"]
    leaf = 'F = "templates"'
    assert tree().deps("one") == [*scripts, "flaxtext/a/__init__.py", "flaxtext/a/plain.py"]
    assert tree(plain="from . import other").deps("one") == [*scripts, "flaxtext/a"]
    plain = "from . import other\nfrom flaxtext.b.deep import leaf"
    assert tree(plain=plain, leaf=leaf).deps("one") == [
        *scripts,
        "flaxtext/a",
        "flaxtext/b/__init__.py",
        "flaxtext/b/deep",
    ]
    assert tree(plain=plain).deps("one")[4:] == [*sorted(LEAF)]
    plain += "\nfrom flaxtext.b import late"
    assert tree(plain=plain, leaf=leaf).deps("one") == [*scripts, "flaxtext/a", "flaxtext/b"]


def test_what_other_programs_leave_is_no_code(tree, tmp_path):
    code = tree(plain="from . import other")
    for name in ("__pycache__/plain.pyc", ".plain.py.swp", "plain.py~", ".DS_Store"):
        (tmp_path / "flaxtext/a" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "flaxtext/a" / name).touch()
    assert "flaxtext/a" in code.deps("one")


def test_a_star_import_is_refused(tree):
    with pytest.raises(SyntaxError, match=r"flaxtext/a/plain.py:2: `import \*` hides what it imports"):
        tree(plain="\nfrom flaxtext.b import *").needed("stages/one.py")


@pytest.mark.parametrize(
    ("plain", "found"),
    [
        ("import flaxtext\nflaxtext.load()", ["flaxtext/a/plain.py:2: flaxtext.load"]),
        ("import flaxtext.b.late\nflaxtext.b.late.load", []),
        ("import flaxtext.b.late\nflaxtext.load", ["flaxtext/a/plain.py:2: flaxtext.load"]),
        ("def f():\n    import flaxtext as ft\n    ft.Net", ["flaxtext/a/plain.py:3: flaxtext.Net"]),
        ("from flaxtext import b, load", ["flaxtext/a/plain.py:1: flaxtext.load"]),
        ("from .. import load", ["flaxtext/a/plain.py:1: flaxtext.load"]),
        ("from flaxtext import VERSION", []),
        ("from flaxtext.b.late import load\nload.flaxtext.load", []),
        ("importlib.import_module('flaxtext.b')", ["flaxtext/a/plain.py:1: importlib.import_module('flaxtext.b')"]),
        ("import_module(name)", ["flaxtext/a/plain.py:1: import_module(name)"]),
        ("import_module('jax')", []),
    ],
)
def test_hidden_imports_are_found(tree, plain, found):
    code = tree(plain=plain, __init__="VERSION = 1\n")
    assert code.hidden_imports("flaxtext/a/plain.py") == found


DVC_YAML = """\
# The pipeline: deps:

stages:
  one:
    desc: "deps: none"
    cmd: python stages/one.py  # deps
    deps:  # all of it
      - stages/one.py  # the script
      - data/in.csv    # yours
      # what it needs
      - flaxtext/c
      - "data/${a.b}.csv"
# at the margin
    outs:
      - data/out.csv
  two:
    foreach: ${variants}
    do:
      cmd: python stages/two.py ${key}
      deps:
        - flaxtext/__init__.py
      # the end
      params:
        - x

plots:
  - deps:
      - flaxtext/c
"""
WRITTEN = """\
# The pipeline: deps:

stages:
  one:
    desc: "deps: none"
    cmd: python stages/one.py  # deps
    deps:  # all of it
      - data/in.csv    # yours
      - "data/${a.b}.csv"
      - stages/one.py  # the script
      - stages/helper.py
      - flaxtext/__init__.py
      - flaxtext/a/__init__.py
      - flaxtext/a/plain.py
# at the margin
    outs:
      - data/out.csv
  two:
    foreach: ${variants}
    do:
      cmd: python stages/two.py ${key}
      deps:
        - stages/two.py
        - flaxtext/__init__.py
      # the end
      params:
        - x

plots:
  - deps:
      - flaxtext/c
"""


def test_lists_are_written_and_all_else_stays(tree, tmp_path):
    code = tree()
    (tmp_path / "stages/two.py").write_text("import flaxtext", encoding="utf-8")
    assert rewritten(DVC_YAML, code) == WRITTEN
    assert rewritten(WRITTEN, code) == WRITTEN
    new = "+stages/helper.py +flaxtext/__init__.py +flaxtext/a/__init__.py +flaxtext/a/plain.py"
    assert differences(DVC_YAML, WRITTEN) == [
        f"dvc.yaml: one: -flaxtext/c {new}",
        "dvc.yaml: two: +stages/two.py",
    ]
    reordered = WRITTEN.replace("      - stages/one.py  # the script\n", "").replace(
        "# yours\n", "# yours\n      - stages/one.py\n"
    )
    assert differences(reordered, WRITTEN) == ["dvc.yaml: one: another order"]
    with pytest.raises(ValueError, match="a line of its own"):
        rewritten("stages:\n  one:\n    deps: [data/in.csv]\n", code)


def test_the_command_checks_and_writes(tmp_path):
    copy_checkout(tmp_path)

    def run(*options):
        command = [sys.executable, "-m", "tools.dependencies", *options]
        return subprocess.run(command, cwd=tmp_path, env={}, capture_output=True, text=True)

    right = (tmp_path / "dvc.yaml").read_text(encoding="utf-8")
    wrong = right.replace("      - stages/check.py\n", "")
    (tmp_path / "dvc.yaml").write_text(wrong, encoding="utf-8")
    checked = run("--check")
    assert checked.returncode == 1
    assert checked.stdout == "dvc.yaml: check: +stages/check.py\n"
    assert checked.stderr == "error: dvc.yaml: run `python -m tools.dependencies`\n"
    assert (tmp_path / "dvc.yaml").read_text(encoding="utf-8") == wrong
    assert run().returncode == 0
    assert (tmp_path / "dvc.yaml").read_text(encoding="utf-8") == right
    assert run("--check").returncode == 0
