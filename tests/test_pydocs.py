import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest
from conftest import PROJECT
from packaging.requirements import Requirement
from ruamel.yaml import YAML

from flaxtext.core.errors import UserError
from flaxtext.download import pydocs

PINNED_AS = {"sklearn": "scikit-learn"}

PROSE = "Return the ordinary sentence number {} about an array, long enough to count as prose here."
OTHER = "A sentence of another kind, which no other library has in its documentation, fortunately {}."


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """Two packages, one of them a single module, that fail if they are imported."""
    for folder in ("tests", "distutils"):
        (tmp_path / "one_pkg" / folder).mkdir(parents=True)
    files = {
        "one_pkg/__init__.py": f'''
            """{PROSE.format(1)}

            {PROSE.format(2)}
            """
            raise SystemExit
            class A:
                r"""{PROSE.format(3)}
                \\d over two lines, and {OTHER.format(3)}"""
                async def f(self):
                    """{PROSE.format(1).upper()}!"""
                    def g():
                        \'\'\'{PROSE.format(5)}\'\'\'
            def h():
                x = """{PROSE.format(6)}"""
            ''',
        "one_pkg/tests/test_a.py": f'"""{PROSE.format(7)}"""',
        "one_pkg/distutils/core.py": f'"""{PROSE.format(9)}"""',
        "one_pkg/broken.py": f'"""{PROSE.format(8)}"""\n1 +',
        "two_mod.py": f'"""{OTHER.format(1)}\n \n{PROSE.format(5)}"""\nraise SystemExit',
    }
    for name, content in files.items():
        (tmp_path / name).write_text(dedent(content))
    monkeypatch.syspath_prepend(tmp_path)
    return {"One": "one_pkg", "Two": "two_mod"}


def test_documents(packages):
    found = pydocs.documents(packages)
    expected = {
        (PROSE.format(1), "One"),  # again in capitals: kept once, as first met
        (PROSE.format(2), "One"),
        (f"{PROSE.format(3)} \\d over two lines, and {OTHER.format(3)}", "One"),
        (OTHER.format(1), "Two"),
    }
    assert set(found) == expected  # and PROSE 5, in both packages, is in neither
    assert len(found) == len(expected)
    assert pydocs.documents(dict(reversed(packages.items()))) == found


@pytest.mark.parametrize(
    "block",
    [
        ">>> " + PROSE,
        "+------+-----+\n| some | table |\n" + PROSE,
        "===== =====\n" + PROSE,
        "Too short.",
        "first[i], second[j] == third[i + 1] ** 2 / (fourth_1 * fifth_1) + h(sixth(x[k]), 100) - 2.5e-3",
    ],
)
def test_what_is_no_prose(block):
    assert list(pydocs._prose(f"{PROSE}\n\n{block}\n   \n{OTHER}")) == [PROSE, OTHER]


def test_heading_is_dropped():
    assert list(pydocs._prose(f"Parameters\n   ----------\n   {PROSE}\n   {OTHER}")) == [f"{PROSE} {OTHER}"]


@pytest.mark.parametrize("name", ["no_such_package", "numpy.linalg", "../x", "sys"])
def test_not_installed(name):
    with pytest.raises(UserError) as caught:
        pydocs.documents({"X": name})
    assert str(caught.value) == (
        f"pydocs: no Python source of a top-level package {name!r}; pip install it, or correct packages"
    )


def test_embedded_corpus_is_large_deterministic_and_imports_nothing():
    script = dedent("""
        import hashlib, sys
        from collections import Counter
        from flaxtext.download import pydocs
        if __name__ == "__main__":
            found = pydocs.documents({"NumPy": "numpy", "scikit-learn": "sklearn"})
            assert not {"numpy", "sklearn"} & set(sys.modules)
            counts = Counter(name for _, name in found)
            print(hashlib.sha256(repr(found).encode()).hexdigest(), counts["NumPy"], counts["scikit-learn"])
    """)
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in "12"
    ]
    first, second = (run.communicate()[0] for run in runs)
    assert first == second
    numpy, sklearn = map(int, first.split()[1:])
    assert numpy > 3000
    assert sklearn > 8000


def pinned(python: str) -> dict[str, str]:
    """Return package -> version as requirements.lock has them for a version of Python."""
    lines = re.findall(r"^[\w-]+==[^\\\n]+", (PROJECT / "requirements.lock").read_text(), re.MULTILINE)
    found = {}
    for requirement in map(Requirement, lines):
        if requirement.marker is None or requirement.marker.evaluate({"python_full_version": python}):
            found[requirement.name] = str(requirement.specifier).removeprefix("==")
    return found


def test_the_corpus_is_that_of_dvc_lock_with_any_python(tmp_path):
    """Else the pipeline would not find itself up to date in a fresh clone, and give other figures."""
    download = YAML(typ="safe").load(PROJECT / "dvc.lock")["stages"]["download"]
    values = YAML(typ="safe").load(PROJECT / "params.yaml")
    if download["params"]["params.yaml"] != {"data": values["data"], "sources.pydocs": values["sources"]["pydocs"]}:
        pytest.skip("params.yaml and dvc.lock are not of the same embedded corpus")
    pins = pinned(python="3.11.0")  # dvc.lock was made with the versions for 3.11
    packages = values["sources"]["pydocs"]["packages"]
    if pydocs.versions(packages) != {name: pins.get(PINNED_AS.get(name, name)) for name in packages.values()}:
        pytest.skip("other versions are installed than requirements.lock pins")
    shutil.copy(PROJECT / "params.yaml", tmp_path)
    command = [sys.executable, PROJECT / "stages/download.py", "--train", "train.parquet", "--test", "test.parquet"]
    command += ["--rejected", "rejected.csv"]
    subprocess.run(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(PROJECT)}, check=True)
    expected = {Path(out["path"]).name: out["md5"] for out in download["outs"]}
    for name, md5 in expected.items():
        assert hashlib.md5((tmp_path / name).read_bytes(), usedforsecurity=False).hexdigest() == md5


def test_versions():
    assert pydocs.versions({"a": "sklearn", "b": "no_such_package"}).keys() == {"sklearn"}
