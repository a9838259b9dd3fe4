"""The whole of params.yaml, checked at once."""

import difflib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from flaxtext.config import PARAMS, Section, checked, read_yaml, short, shown
from flaxtext.config.build_vocab import BuildVocab
from flaxtext.config.check import Check
from flaxtext.config.compare import Compare
from flaxtext.config.data import Data, Source, check_sources, no_such_source
from flaxtext.config.evaluate import Evaluate
from flaxtext.config.explain import Explain
from flaxtext.config.report import Report
from flaxtext.config.train import NetworkVariant, Train, Variant, check_variants
from flaxtext.config.vectorize import Vectorize
from flaxtext.core.errors import UserError

PLAIN: dict[str, type[Section]] = {
    "data": Data,
    "build_vocab": BuildVocab,
    "check": Check,
    "vectorize": Vectorize,
    "train": Train,
    "evaluate": Evaluate,
    "explain": Explain,
    "compare": Compare,
    "report": Report,
}
"""The sections that are a model each."""


@dataclass(frozen=True)
class Params:
    """The whole of params.yaml; `variants` holds each variant with the values of `train` filled in."""

    data: Data
    sources: dict[str, Source]
    build_vocab: BuildVocab
    check: Check
    vectorize: Vectorize
    train: Train
    variants: dict[str, Variant]
    evaluate: Evaluate
    explain: Explain
    compare: Compare
    report: Report

    @property
    def source(self) -> Source:
        """The source that `data.source` names."""
        return self.sources[self.data.source]


SECTIONS = [field.name for field in fields(Params)]


def read_params(path: str | Path = PARAMS) -> Params:
    """Read and check params.yaml. Raises `UserError`, one line for each wrong key or value."""
    return check_params(read_yaml(path), str(path))


def check_params(values: Any, path: str = PARAMS) -> Params:
    """Check `values`, the parsed content of the file `path`."""
    if not isinstance(values, dict):
        raise UserError(f"{path}: expected sections such as data and train, found {short(values)}")
    problems = [_unknown(name, path) for name in values if name not in SECTIONS]
    found: dict[str, Any] = {}
    for name in SECTIONS:
        try:
            found[name] = _check_section(name, values, path)
        except UserError as error:
            problems += [line for line in error.args if line not in problems]
    if problems:
        raise UserError(*problems)
    params = Params(**found)
    if problems := _across_sections(params, path):
        raise UserError(*problems)
    return params


def _across_sections(params: Params, path: str) -> list[str]:
    """Say what is wrong between sections that are right by themselves."""
    problems = []
    if params.data.source not in params.sources:
        problems.append(no_such_source(params.data.source, params.sources, path))
    for name, variant in params.variants.items():
        if isinstance(variant, NetworkVariant) and variant.pretrained and params.build_vocab.vectors is None:
            problems.append(
                f"{path}: variants.{name}.pretrained: set build_vocab.vectors to glove or a file of word vectors"
            )
        if not params.vectorize.validation and (variant.patience is not None or variant.calibrate):
            problems.append(
                f"{path}: variants.{name}: patience and calibrate need documents to watch; set vectorize.validation "
                "above 0"
            )
    return problems


def _check_section(name: str, values: dict[str, Any], path: str) -> Any:
    if name not in values:
        raise UserError(f"{path}: {name}: missing")
    if name == "sources":
        return check_sources(values[name], path)
    if name == "variants":
        return check_variants(values.get("train"), values[name], path)
    return checked(PLAIN[name], values[name], path, (name,))


def _unknown(name: Any, path: str) -> str:
    close = difflib.get_close_matches(str(name), SECTIONS, n=1)
    return f"{path}: {shown(name)}: unknown key; " + (
        f"did you mean {close[0]}?" if close else f"known: {', '.join(SECTIONS)}"
    )
