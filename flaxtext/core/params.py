"""params.yaml as one typed schema, checked whole before any work."""

import difflib
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    field_validator,
    model_validator,
)
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from flaxtext.core.errors import UserError
from flaxtext.core.pooling import AVERAGES, POOLINGS

Column = str | int
Split = Literal["train", "test"]
Optimizer = Literal["adam", "adamw", "adagrad", "rmsprop", "sgd"]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class Section(BaseModel):
    """A section of params.yaml: its values keep their YAML type, and a key it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Data(Section):
    """Which source to read, and how to reach it."""

    source: str
    mirror: str | None = None
    verify: bool = True


class Checksums(Section):
    """MD5 of a source's files, in hexadecimal."""

    train: str | None = Field(default=None, pattern="^[0-9a-f]{32}$")
    test: str | None = Field(default=None, pattern="^[0-9a-f]{32}$")


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


class FileSource(Section):
    """Labelled text in CSV, TSV, JSON Lines or Parquet files, by path or URL.

    Columns go by name or, where a CSV file has no header, by number from 1. `classes` gives the class
    order: names as they stand in the label column, or label -> name. Left out, the labels found in the
    training file, sorted. Without `test`, a `test_fraction` of the rows is split off by a hash of the text.
    """

    train: str
    test: str | None = None
    format: Literal["csv", "tsv", "jsonl", "parquet"] | None = None
    text: Annotated[list[Column], Field(min_length=1), BeforeValidator(_as_list)] = ["text"]
    label: Column = "label"
    header: bool = True
    classes: list[str] | dict[str | int, str] | None = None
    md5: Checksums = Checksums()
    test_fraction: Fraction = 0.2

    @model_validator(mode="after")
    def _check(self) -> "FileSource":
        columns = [self.label, *self.text]
        if self.header and any(isinstance(column, int) for column in columns):
            raise ValueError("columns go by number only with header: false")
        if not self.header and any(not isinstance(column, int) or column < 1 for column in columns):
            raise ValueError("with header: false, text and label are column numbers from 1")
        if self.classes is not None:
            names = list(self.classes.values()) if isinstance(self.classes, dict) else self.classes
            if len(names) < 2 or len(set(names)) < len(names):
                raise ValueError("classes needs two names or more, each once")
            if len({str(label) for label in self.classes}) < len(self.classes):
                raise ValueError("classes names a label twice: as a number and as text it is the same")
        return self


class PydocsSource(Section):
    """The embedded corpus: class name -> the installed package whose docstrings are its documents."""

    format: Literal["pydocs"]
    packages: Annotated[dict[str, str], Field(min_length=2)]
    test_fraction: Fraction = 0.2


def _source_kind(value: Any) -> str:
    return "pydocs" if isinstance(value, dict) and value.get("format") == "pydocs" else "files"


Source = Annotated[
    Annotated[PydocsSource, Tag("pydocs")] | Annotated[FileSource, Tag("files")], Discriminator(_source_kind)
]


class BuildVocab(Section):
    """Which words become rows of the embedding table."""

    fit_on: Annotated[list[Split], Field(min_length=1)] = ["train"]
    max_words: int | None = Field(default=None, ge=1)
    min_count: int = Field(default=1, ge=1)
    vectors: str | None = None

    @field_validator("vectors")
    @classmethod
    def _check_vectors(cls, path: str | None) -> str | None:
        if path is not None and (PurePosixPath(path).parts[:2] != ("data", "inputs") or ".." in path):
            raise ValueError(f"expected a file in data/inputs/, where DVC sees it, got {_short(path)}")
        return path


class Check(Section):
    """When two documents are near-duplicates, and how much of each fault is too much; null: only warn."""

    similarity: float = Field(default=0.7, gt=0, le=1)
    shingle_words: int = Field(default=2, ge=1, le=10)
    max_leakage: Share | None = None
    max_near_leakage: Share | None = None
    max_duplicates: Share | None = None
    max_near_duplicates: Share | None = None
    max_label_conflicts: Share | None = None
    max_empty: Share | None = None
    max_markup: Share | None = None
    max_cut: Share | None = None
    max_cut_words: Share | None = None
    max_unknown_words: Share | None = None
    max_imbalance: Share | None = None

    @property
    def limits(self) -> dict[str, float]:
        """The limits that are set, by the name of the check."""
        values = {name.removeprefix("max_"): value for name, value in self if name.startswith("max_")}
        return {name: value for name, value in values.items() if value is not None}


class Vectorize(Section):
    """How a document becomes a row of ids."""

    max_len: int = Field(default=50, ge=1, le=10_000)
    format: Literal["parquet", "npz"] = "parquet"


class Train(Section):
    """How a network is trained; a variant may override any of these."""

    epochs: int = Field(default=15, ge=1)
    min_steps: int = Field(default=0, ge=0)
    batch_size: int = Field(default=1024, ge=1)
    optimizer: Optimizer = "adam"
    learning_rate: float = Field(default=0.001, gt=0)
    schedule: Literal["constant", "linear"] = "constant"
    hidden: int = Field(default=100, ge=0)
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    word_dropout: float = Field(default=0.0, ge=0, lt=1)
    class_weights: Literal["balanced"] | None = None
    seed: Seed = 0
    seeds: int = Field(default=1, ge=1, le=100)
    shuffle: bool = True
    validation: float = Field(default=0.05, ge=0, lt=1)
    validation_from: Split = "train"
    patience: int | None = Field(default=None, ge=1)
    calibrate: bool = False

    @model_validator(mode="after")
    def _check_together(self) -> "Train":
        for name, is_on in (("patience", self.patience is not None), ("calibrate", self.calibrate)):
            if is_on and self.validation_from != "train":
                raise ValueError(f"{name} would choose by the test split; set validation_from: train")
            if is_on and not self.validation:
                raise ValueError(f"{name} needs documents to watch; set validation above 0")
        if self.seed + self.seeds > 2**32:
            raise ValueError("seed, with seeds counted from it, goes beyond 2**32 - 1; lower seed")
        return self


class Features(Section):
    """What a document holds beside its words."""

    stem: int | None = Field(default=None, ge=1)
    ngrams: int = Field(default=1, ge=1, le=5)
    ngram_min_count: int = Field(default=1, ge=1)


class NetworkVariant(Train, Features):
    """One network: what its own lines of params.yaml say, on top of `train`."""

    model: Literal["network"] = "network"
    pooling: str
    embed_dim: int = Field(ge=1)
    init: Literal["random", "log_ratios"] = "random"
    pretrained: bool = False
    ensemble: bool = False

    @field_validator("pooling")
    @classmethod
    def _check_pooling(cls, name: str) -> str:
        if name not in POOLINGS:
            raise ValueError(f"expected one of {', '.join(POOLINGS)}, got {_short(name)}")
        return name

    @model_validator(mode="after")
    def _check_init(self) -> "NetworkVariant":
        if self.init == "log_ratios" and (self.hidden or POOLINGS[self.pooling] not in AVERAGES):
            averages = ", ".join(name for name, pooling in POOLINGS.items() if pooling in AVERAGES)
            raise ValueError(f"init: log_ratios needs hidden: 0 and a pooling that averages: {averages}")
        return self


class LinearVariant(Train, Features):
    """TF-IDF and a linear support vector machine; of `train` it heeds seed, validation and class_weights."""

    model: Literal["linear"]
    C: float = Field(default=1.0, gt=0)


def _variant_kind(value: Any) -> str:
    return str(value.get("model", "network") if isinstance(value, dict) else getattr(value, "model", "network"))


Variant = NetworkVariant | LinearVariant


class Evaluate(Section):
    """How predictions are judged."""

    calibration_bins: int = Field(default=15, ge=1)


class Faithfulness(Section):
    """On how many test documents, and with how many samples each, explanations are held against random words."""

    documents: int | None = Field(default=300, ge=1)
    samples: int = Field(default=1000, ge=10)


class Explain(Section):
    """Which test documents LIME explains, and how."""

    rows: list[Annotated[int, Field(ge=0)]] | None = None
    mistakes: int = Field(default=5, ge=0)
    samples: int = Field(default=5000, ge=10)
    words: int = Field(default=10, ge=1)
    faithfulness: Faithfulness = Faithfulness()
    seed: Seed = 0


class Compare(Section):
    """How variants are compared."""

    resamples: int = Field(default=2000, ge=100)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    seed: Seed = 0


class Report(Section):
    """What the report shows; it stays small enough to open at once."""

    mistakes: int = Field(default=500, ge=0)
    characters: int = Field(default=1000, ge=1)
    words: int = Field(default=20_000, ge=1)
    ngrams: int = Field(default=200_000, ge=0)


class Params(Section):
    """The whole of params.yaml; `variants` holds each variant with the values of `train` filled in."""

    data: Data
    sources: dict[str, Source]
    build_vocab: BuildVocab
    check: Check
    vectorize: Vectorize
    train: Train
    variants: Annotated[
        dict[
            Name,
            Annotated[
                Annotated[NetworkVariant, Tag("network")] | Annotated[LinearVariant, Tag("linear")],
                Discriminator(_variant_kind),
            ],
        ],
        Field(min_length=1),
    ]
    evaluate: Evaluate
    explain: Explain
    compare: Compare
    report: Report

    @model_validator(mode="after")
    def _check(self) -> "Params":
        if self.data.source not in self.sources:
            raise ValueError(f"data.source: {self.data.source!r} is not one of {', '.join(self.sources)}")
        for name, variant in self.variants.items():
            if isinstance(variant, NetworkVariant) and variant.pretrained and self.build_vocab.vectors is None:
                raise ValueError(f"variants.{name}.pretrained: set build_vocab.vectors to a file of word vectors")
        return self

    @property
    def source(self) -> FileSource | PydocsSource:
        """The source that `data.source` names."""
        return self.sources[self.data.source]


def load(path: str | Path = "params.yaml") -> Params:
    """Read and check params.yaml. Raises `UserError`, one line for each wrong key or value."""
    return check(parse(Path(path), YAML(typ="safe"), YAML(typ="safe", pure=True)), str(path))


def parse(path: Path, *parsers: YAML) -> Any:
    """Parse a file by the first parser, and what it refuses by the next: one in C is faster, one in Python says why.

    Raises `UserError` where there is no such file, or what it holds is not YAML in UTF-8.
    """
    yaml, *others = parsers
    try:
        return yaml.load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run from the project's folder") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: not UTF-8; save it as that") from None
    except YAMLError as error:
        if others:
            return parse(path, *others)
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise UserError(f"{path}{where}: not YAML: {getattr(error, 'problem', None) or error}") from None


def check(values: Any, path: str = "params.yaml") -> Params:
    """Check `values`, the parsed content of the file `path`."""
    if not isinstance(values, dict):
        raise UserError(f"{path}: expected sections such as data and train, found {_short(values)}")
    try:
        return Params.model_validate(_fill_in_variants(values, path))
    except ValidationError as error:
        problems = error.errors()
        of_train = {problem["msg"] for problem in problems if problem["loc"] == ("train",)}
        lines = [
            _explain(problem, path)
            for problem in problems
            if not _is_inherited(_location(problem), values)
            and not (_location(problem)[:1] == ["variants"] and problem["msg"] in of_train)
        ]
        raise UserError("\n".join(lines)) from None


def variant(params: Params, name: str) -> Variant:
    """Return the variant `name`."""
    if name not in params.variants:
        raise UserError(f"params.yaml: variants: no {name!r}; there are {', '.join(params.variants)}")
    return params.variants[name]


def _fill_in_variants(values: dict[str, Any], path: str) -> dict[str, Any]:
    train, variants = values.get("train"), values.get("variants")
    if not isinstance(train, dict) or not isinstance(variants, dict):
        return values
    for name, own in variants.items():
        if isinstance(own, dict) and "validation_from" in own:
            raise UserError(f"{path}: variants.{name}.validation_from: set it under train, for all variants")
    filled = {name: {**train, **own} if isinstance(own, dict) else own for name, own in variants.items()}
    return {**values, "variants": filled}


def _location(problem: Any) -> list[Any]:
    """Where in the file a problem is."""
    location = list(problem["loc"])
    if location[:1] in (["sources"], ["variants"]):
        del location[2:3]  # the tag of the kind of source, or of variant
    return location


def _is_inherited(location: list[Any], values: dict[str, Any]) -> bool:
    """Whether the problem is one of `train`, met again in a variant that does not override the value."""
    match location:
        case ["variants", name, key, *_]:
            return key in values.get("train", {}) and key not in values["variants"][name]
    return False


def _explain(problem: Any, path: str) -> str:
    location = _location(problem)
    key = ".".join(str(part) for part in location)
    kind, given = problem["type"], problem["input"]
    if kind == "extra_forbidden":
        known = _known_keys(location[:-1], is_linear=list(problem["loc"][2:3]) == ["linear"])
        close = difflib.get_close_matches(str(location[-1]), known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}"
        return f"{path}: {key}: unknown key; {hint}"
    if kind == "union_tag_invalid":
        return f"{path}: {key}.model: expected 'network' or 'linear', got {_short(given.get('model'))}"
    if kind == "missing":
        return f"{path}: {key}: missing"
    message = problem["msg"].removeprefix("Value error, ")
    if kind == "value_error":
        return f"{path}: {key}: {message}" if key else f"{path}: {message}"
    message = PLAIN.get(kind, message.replace("Input should be", "expected", 1))
    return f"{path}: {key}: {message}, got {_short(given)}"


PLAIN = {
    "model_type": "expected keys and values",
    "dict_type": "expected keys and values",
    "model_attributes_type": "expected keys and values",
    "too_short": "expected at least one",
    "int_type": "expected a whole number",
    "float_type": "expected a number",
    "bool_type": "expected true or false",
    "string_type": "expected text",
    "list_type": "expected a list",
}
"""What to say of a value of the wrong kind, in words of YAML rather than of Python."""


def _known_keys(location: list[Any], is_linear: bool) -> list[str]:
    models: dict[str, type[BaseModel]] = {
        "data": Data,
        "build_vocab": BuildVocab,
        "check": Check,
        "vectorize": Vectorize,
        "train": Train,
        "variants": LinearVariant if is_linear else NetworkVariant,
        "evaluate": Evaluate,
        "explain": Explain,
        "compare": Compare,
        "report": Report,
    }
    if not location:
        return list(Params.model_fields)
    if location[0] == "sources":
        return [*FileSource.model_fields, "packages"] if len(location) == 2 else ["train", "test"]
    if location[1:] == ["faithfulness"]:
        return list(Faithfulness.model_fields)
    return list(models[location[0]].model_fields)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
