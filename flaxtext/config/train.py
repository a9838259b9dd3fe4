"""Sections `train` and `variants`: what is trained, and how."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from flaxtext.config import PARAMS, Amount, Count, Section, Seed, Split, checked, listed, read_yaml, short, shown
from flaxtext.core.errors import UserError
from flaxtext.model.architecture import MAX_CHARACTERS, MAX_WORDS
from flaxtext.model.poolings import POOLINGS

Optimizer = Literal["adam", "adamw", "adagrad", "rmsprop", "sgd"]
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
MAX_NAME = 100
"""Characters of a variant's name, which names files, too."""
OTHERS = ("data", "comparison")
"""What lies in metrics/ beside the variants' figures."""
DEVICES = frozenset(
    ["con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(10))]
)
"""Names that Windows takes for devices."""


class Train(Section):
    """How a network is trained; a variant may override any of these, except for validation_from."""

    renamed: ClassVar[dict[str, str]] = {"validation": "vectorize.validation, for all variants"}

    max_len: int | None = Field(default=None, ge=1, le=MAX_WORDS)
    epochs: Count = 15
    min_steps: Amount = 0
    batch_size: Count = 1024
    optimizer: Optimizer = "adam"
    learning_rate: Annotated[float, Field(gt=0)] | Literal["auto"] = 0.001
    schedule: Literal["constant", "linear"] = "constant"
    loss: Literal["cross_entropy", "squared_hinge"] = "cross_entropy"
    hidden: int = Field(default=100, ge=0, le=100_000)
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    word_dropout: float = Field(default=0.0, ge=0, lt=1)
    class_weights: Literal["balanced"] | None = None
    seed: Seed = 0
    seeds: int = Field(default=1, ge=1, le=100)
    shuffle: bool = True
    validation_from: Split = "train"
    patience: Count | None = None
    patience_steps: Amount = 0
    calibrate: bool = False

    @model_validator(mode="after")
    def _check_together(self) -> "Train":
        for name, is_on in (("patience", self.patience is not None), ("calibrate", self.calibrate)):
            if is_on and self.validation_from != "train":
                raise ValueError(f"{name} would choose by the test split; set validation_from: train")
        if self.loss != "cross_entropy" and self.label_smoothing:
            raise ValueError("label_smoothing is for loss: cross_entropy; set one of them")
        if self.seed + self.seeds > 2**32:
            raise ValueError("seed, with seeds counted from it, goes beyond 2**32 - 1; lower seed")
        return self


class Reading(Section):
    """What a document holds beside its words."""

    renamed: ClassVar[dict[str, str]] = {"stem": "prefix", **Train.renamed}

    prefix: int | None = Field(default=None, ge=1, le=1000)
    ngrams: int = Field(default=1, ge=1, le=5)
    ngram_min_count: Count = 1
    marks: bool = False
    characters: int = Field(default=0, ge=0, le=MAX_CHARACTERS)


class NetworkVariant(Reading, Train):
    """One network: what its own lines of params.yaml say, on top of `train`."""

    model: Literal["network"] = "network"
    pooling: str
    embed_dim: Annotated[int, Field(ge=1, le=100_000)] | Literal["classes"]
    init: Literal["random", "log_ratios"] = "random"
    pretrained: bool = False
    ensemble: bool = False

    @field_validator("pooling")
    @classmethod
    def _check_pooling(cls, name: str) -> str:
        if name == "masked_mean":
            raise ValueError("masked_mean is now mean, and what was mean and sum padded_mean and padded_sum")
        if name not in POOLINGS:
            raise ValueError(f"expected one of {', '.join(POOLINGS)}, got {short(name)}")
        return name

    @model_validator(mode="after")
    def _check_init(self) -> "NetworkVariant":
        pooling = POOLINGS[self.pooling]
        if self.init == "log_ratios" and (self.hidden or not (pooling.averages or pooling.weighs)):
            fitting = ", ".join(name for name, one in POOLINGS.items() if one.averages or one.weighs)
            raise ValueError(f"init: log_ratios needs hidden: 0 and a pooling that averages: {fitting}")
        return self

    @model_validator(mode="after")
    def _check_pooling_with_others(self) -> "NetworkVariant":
        pooling = POOLINGS[self.pooling]
        if pooling.padded and self.max_len is None:
            raise ValueError(f"pooling: {self.pooling} needs max_len, the words that it has room for; 50 for one")
        if pooling.padded and (self.characters or self.marks):
            raise ValueError(f"pooling: {self.pooling} reads words alone; leave characters and marks out")
        if pooling.weighs and (self.word_dropout or self.optimizer != "sgd"):
            raise ValueError(f"pooling: {self.pooling} needs optimizer: sgd and word_dropout: 0")
        if self.embed_dim == "classes" and (self.hidden or not pooling.weighs):
            raise ValueError("embed_dim: classes needs pooling: tfidf and hidden: 0; give a number")
        if self.learning_rate == "auto" and not (pooling.weighs and self.loss == "squared_hinge"):
            raise ValueError("learning_rate: auto is for pooling: tfidf and loss: squared_hinge; give a number")
        return self


class LinearVariant(Reading, Train):
    """TF-IDF and a linear support vector machine; of `train` it heeds max_len, seed and class_weights."""

    model: Literal["linear"]
    C: float = Field(default=1.0, gt=0)

    HEEDED: ClassVar[tuple[str, ...]] = ("seed", "validation_from", "class_weights", "C")


Variant = NetworkVariant | LinearVariant


def check_variants(train: Any, variants: Any, path: str) -> dict[str, Variant]:
    """Check section `variants`, and each variant with the values of `train` filled in. Raises `UserError`."""
    if not isinstance(variants, dict):
        raise UserError(f"{path}: variants: expected keys and values, got {short(variants)}")
    if not variants:
        raise UserError(f"{path}: variants: expected at least one, got {{}}")
    checked(Train, train, path, ("train",))
    problems: list[str] = []
    found: dict[str, Variant] = {}
    for name, own in variants.items():
        try:
            _check_name(name, variants, path)
            found[name] = _check_variant(train, name, own, path)
        except UserError as error:
            problems += error.args
    if problems:
        raise UserError(*problems)
    return found


def read_variant(name: str, path: str | Path = PARAMS) -> Variant:
    """Read one variant, with the values of `train` filled in. Raises `UserError`."""
    values = read_yaml(path)
    variants = values.get("variants")
    if not isinstance(variants, dict) or name not in variants:
        names = listed(variants) if isinstance(variants, dict) else "none"
        raise UserError(f"{path}: variants: no {short(name)}; there are {names}")
    _check_name(name, variants, str(path))
    return check_variants(values.get("train"), {name: variants[name]}, str(path))[name]


def _check_name(name: Any, names: Iterable[Any], path: str) -> None:
    """Refuse a name that could not name a variant's files on every system, beside those of the other `names`."""
    at = f"{path}: variants.{shown(name)}"
    if not isinstance(name, str):
        quoted = f'; put it in quotes: "{name}"' if type(name) is int and NAME.fullmatch(shown(name)) else ""
        raise UserError(f"{at}: a name is text{quoted}")
    if not NAME.fullmatch(name):
        raise UserError(f"{at}: a name is made of letters, digits, - and _, and begins with none of the last two")
    if len(name) > MAX_NAME:
        raise UserError(f"{at}: a name has at most {MAX_NAME} characters")
    folded = name.lower()
    if folded in OTHERS:
        raise UserError(f"{at}: metrics/{folded}.json is another stage's; choose another name")
    if folded in DEVICES:
        raise UserError(f"{at}: Windows has no files of that name; choose another")
    if twin := next((other for other in names if other != name and str(other).lower() == folded), None):
        raise UserError(f"{at}: not every file system tells it from {shown(twin)}; choose another name")


def _check_variant(train: dict[str, Any], name: str, own: Any, path: str) -> Variant:
    at = ("variants", name)
    if isinstance(own, dict) and "validation_from" in own:
        raise UserError(f"{path}: variants.{name}.validation_from: set it under train, for all variants")
    kind = own.get("model", "network") if isinstance(own, dict) else "network"
    if kind not in ("network", "linear"):
        raise UserError(f"{path}: variants.{name}.model: expected 'network' or 'linear', got {short(kind)}")
    values = {**train, **own} if isinstance(own, dict) else own
    return checked(LinearVariant, values, path, at) if kind == "linear" else checked(NetworkVariant, values, path, at)
