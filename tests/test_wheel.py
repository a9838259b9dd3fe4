"""What the wheel holds is enough to use a model: modules, templates, the command."""

import os
import subprocess
import sys
import zipfile

import numpy as np
from conftest import PROJECT
from tiny_models import untrained

from flaxtext.artifacts.bundle import write_bundle


def test_a_model_is_used_with_the_wheel_alone(tmp_path):
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=PROJECT, check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    scripts = next((tmp_path / "installed").glob("*.dist-info")) / "entry_points.txt"
    assert "flaxtext = flaxtext.cli.main:script" in scripts.read_text()

    texts = ["a good film", "a bad film"]
    model = untrained(texts, classes=["bad", "good"], max_len=4, pooling="padded_mean", embed_dim=3, hidden=5)
    write_bundle(tmp_path / "model", model)
    np.save(tmp_path / "expected.npy", model.predict_proba(["a good film"]))
    code = """
import sys, pathlib, numpy as np
import flaxtext, flaxtext.cli.main
assert pathlib.Path(flaxtext.__file__).is_relative_to(pathlib.Path("installed").resolve())
assert np.array_equal(flaxtext.load("model").predict_proba(["a good film"]), np.load("expected.npy"))
sys.argv = ["flaxtext", "explain", "-m", "model", "a good film", "--html", "page.html"]
flaxtext.cli.main.main()
"""
    environment = {**os.environ, "PYTHONPATH": "installed"}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True, capture_output=True)
    assert "film</mark>" in (tmp_path / "page.html").read_text(encoding="utf-8")
