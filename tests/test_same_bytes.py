"""Every output of the pipeline is the same bytes on one core as on all of them."""

import json
import os
import shutil
import subprocess
import sys

import pyarrow as pa
import pytest
from commands import command
from conftest import PROJECT

from flaxtext.artifacts.corpus import open_corpus
from flaxtext.cli.set import edit
from flaxtext.config import read_yaml
from flaxtext.config.params import read_params
from flaxtext.download.pydocs import documents

pytestmark = pytest.mark.slow

VARIANTS = ["flatten_10", "sum_20", "linear", "subwords"]
"""The others take the same way through the code: flatten_20 as flatten_10, average_20 as sum_20."""
EVERY = 6
"""Of so many documents of the embedded corpus one is taken: enough for all threads to have work."""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A folder with params.yaml and both splits."""
    folder = tmp_path_factory.mktemp("prepared")
    (folder / "params.yaml").write_bytes((PROJECT / "params.yaml").read_bytes())
    own = read_yaml(folder / "params.yaml")["variants"]
    variants = {name: {**own[name], "epochs": 2, "min_steps": 0} for name in VARIANTS}
    few = ["explain.samples=500", "explain.faithfulness.documents=100", "explain.faithfulness.samples=100"]
    edit([f"variants={json.dumps(variants)}", *few], folder / "params.yaml")
    source = read_params(folder / "params.yaml").sources["pydocs"]
    chosen = documents(source.packages)[::EVERY]
    classes = list(source.packages)
    for split, part in (("train", chosen[: -len(chosen) // 4]), ("test", chosen[-len(chosen) // 4 :])):
        path = folder / f"data/raw/{split}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        labels = pa.array([classes.index(label) for _, label in part], pa.int32())
        with open_corpus(path, classes=classes, source="pydocs") as writer:
            codes = pa.DictionaryArray.from_arrays(labels, pa.array(classes))
            writer.write_table(pa.table({"text": [text for text, _ in part], "label": codes}))
    return folder


def run_all(folder, *prefix):
    """Run every stage from build_vocab on, each with the words `prefix` before its command; returns all bytes."""
    environment = {**os.environ, "JAX_COMPILATION_CACHE_DIR": str(folder / "jax")}  # its own: it compiles for itself
    stages = [("build_vocab", ""), ("check", ""), ("vectorize", "")]
    stages += [(stage, variant) for variant in VARIANTS for stage in ("train", "evaluate", "explain")]
    for stage, variant in [*stages, ("compare", ""), ("report", "")]:
        script, *words = command(stage, variant)
        ended = subprocess.run(
            [*prefix, sys.executable, PROJECT / script, *words],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, f"{stage} {variant}\n{ended.stdout}"
    files = [path for name in ("data", "metrics") for path in sorted((folder / name).rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_one_core_and_all_of_them_write_the_same_bytes(prepared, tmp_path):
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(cores) < 2 or shutil.which("taskset") is None:
        pytest.skip("needs taskset and more than one core")
    several, one = (shutil.copytree(prepared, tmp_path / name) for name in ("several", "one"))
    expected, found = run_all(several), run_all(one, "taskset", "--cpu-list", str(cores[0]))
    assert list(found) == list(expected)
    assert {f"data/models/{name}/config.json" for name in VARIANTS} <= set(found)
    assert [path for path in expected if found[path] != expected[path]] == []
