"""The commands of the stages, as dvc.yaml has them, for tests that run stages without DVC."""

import os
import shlex
import sys
from importlib import import_module
from unittest.mock import patch

from conftest import PROJECT
from ruamel.yaml import YAML

STAGES = {name: stage.get("do", stage) for name, stage in YAML(typ="safe").load(PROJECT / "dvc.yaml")["stages"].items()}


def resolved(text, variant="", validation_from="train"):
    """Fill in a line of dvc.yaml."""
    values = {"key": variant, "vectorize.format": "parquet", "train.validation_from": validation_from}
    for name, value in values.items():
        text = text.replace("${" + name + "}", value)
    assert "${" not in text
    return text


def command(stage, variant="", **options):
    """The words of a stage's command, without `python`."""
    words = shlex.split(resolved(STAGES[stage]["cmd"], variant, **options))
    assert words[:2] == ["python", f"stages/{stage}.py"]
    return words[1:]


def run_here(monkeypatch, stage, variant="", **options):
    """Run a stage's script as its command in dvc.yaml does, in this process and folder."""
    monkeypatch.setattr(sys, "argv", command(stage, variant, **options))
    monkeypatch.syspath_prepend(PROJECT / "stages")  # Python does so for a script
    with patch.dict(os.environ):  # which `checkout` changes, for a process of its own
        module = import_module(f"stages.{stage}")
    if hasattr(module, "configure_jax"):
        monkeypatch.setattr(module, "configure_jax", lambda: None)
    module.main()
