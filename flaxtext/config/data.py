"""Sections `data` and `sources`: where labelled text comes from."""

from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, model_validator

from flaxtext.config import PARAMS, Fraction, Section, checked, read_yaml, short
from flaxtext.core.errors import UserError
from flaxtext.core.printable import clean_label


class Data(Section):
    """Which source to read, and how to reach it."""

    source: str
    mirror: str | None = None
    verify: bool = True


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


def _checked_text(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | date):
        raise ValueError(f"expected text, got {_spelled(value)}; put it in quotes")
    return value


def _checked_column(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(
            f"expected a column, by its name or, with header: false, by its number from 1, got {_spelled(value)}; put "
            "a name in quotes"
        )
    return value


MAX_LOCATION = 4096
"""Characters of a path or URL; no system takes a longer path."""


def _checked_location(value: Any) -> Any:
    if isinstance(value, str):
        try:
            urlsplit(value)
        except ValueError as error:
            raise ValueError(f"expected a path or URL, got {short(value)}: {error}") from None
        if not value.strip() or "\0" in value or len(value) > MAX_LOCATION:
            raise ValueError(f"expected a path or URL, got {short(value)}")
    return value


def _checked_delimiter(value: Any) -> Any:
    is_one = isinstance(value, str) and len(value) == 1 and value.isascii() and value not in '"\r\n\0'
    if value is not None and not is_one and value not in ("tab", r"\t"):
        raise ValueError(f'expected one character of ASCII in quotes, such as ";" or "\\t", got {_spelled(value)}')
    return value


def _checked_classes(value: Any) -> Any:
    """Refuse what is neither labels nor names of classes; YAML takes some for numbers, dates or truth values."""
    if value is None:
        return value
    if not isinstance(value, dict | list):
        raise ValueError(f"expected a list of labels, or label: name for each, got {short(value)}")
    for label in value if isinstance(value, dict) else []:
        if isinstance(label, bool) or not isinstance(label, str | int):
            raise ValueError(_not_text(label))
    names = list(value.values()) if isinstance(value, dict) else value
    for name in names:
        if not isinstance(name, str):
            raise ValueError(_not_text(name))
        if not clean_label(name):
            raise ValueError(f"{short(name)} is no name of a class; give it one")
    cleaned = [clean_label(name) for name in names]
    if isinstance(value, list) and (len(cleaned) < 2 or len(set(cleaned)) < len(cleaned)):
        raise ValueError("classes needs two names or more, each once")
    if len(set(cleaned)) < 2:
        raise ValueError("classes needs two names or more that differ")
    if isinstance(value, dict):
        named: dict[str, str] = {}
        for label, name in zip(map(str, value), cleaned, strict=True):
            if not clean_label(label):
                raise ValueError(f"{short(label)} is no label, but how a row without one looks; remove it")
            if named.setdefault(clean_label(label), name) != name:
                both = f"{short(named[clean_label(label)])} and {short(name)}"
                raise ValueError(f"label {short(clean_label(label))} has two names, {both}; leave one of them")
    return value


def _not_text(value: Any) -> str:
    """Say that a label or a name is not text, in words of YAML."""
    kinds = {bool: "a truth value", int: "a number", float: "a number", date: "a date", datetime: "a date"}
    if value is not None and type(value) not in kinds:
        return f"{short(value)} is neither a label nor a name of a class; expected text"
    kind, spelled = "nothing" if value is None else kinds[type(value)], _spelled(value)
    return f'{spelled} is {kind} to YAML, not text; put it in quotes, as it stands in the file, such as "{spelled}"'


def _spelled(value: Any) -> str:
    """Write a value as YAML does."""
    if value is None or isinstance(value, bool):
        return str(value).lower() if isinstance(value, bool) else "null"
    return str(value) if isinstance(value, date) else short(value)


Column = Annotated[str | int, BeforeValidator(_checked_column)]
Columns = Annotated[list[Column], BeforeValidator(_as_list)]
Text = Annotated[str, BeforeValidator(_checked_text)]
Location = Annotated[Text, BeforeValidator(_checked_location)]

RESERVED = (
    "text",
    "label",
    "row",
    "split",
    "predicted",
    "probabilities",
    "top_classes",
    "top_probabilities",
    "label_probability",
    "by_seed",
)
"""Names of columns that the corpus and the predictions have themselves."""


class Checksums(Section):
    """MD5 of a source's files, in hexadecimal."""

    train: Text | None = Field(default=None, pattern="^[0-9a-f]{32}$")
    test: Text | None = Field(default=None, pattern="^[0-9a-f]{32}$")


class FileSource(Section):
    """Labelled text in CSV, TSV, JSON Lines or Parquet files, by path or URL.

    Columns go by name or, where a CSV file has no header, by number from 1; in JSON Lines and Parquet `meta.label` is
    the key `label` in `meta`. `classes` gives the class order: names as they stand in the label column, or label ->
    name, where several labels may have one name. Left out, the labels found in the training file, sorted. Without
    `test`, a `test_fraction` of the rows is split off by a hash of the text. `delimiter`, `encoding` and `quoting` are
    those of `io.table.Options`.

    With `skip_empty`, rows without text or label are left out; otherwise they are errors. The columns `keep` are
    carried along to the predictions.
    """

    train: Location
    test: Location | None = None
    format: Literal["csv", "tsv", "jsonl", "parquet"] | None = None
    text: Columns = Field(default=["text"], min_length=1)
    label: Column = "label"
    keep: Columns = Field(default=[])
    header: bool = True
    delimiter: Annotated[str | None, BeforeValidator(_checked_delimiter)] = None
    encoding: Text | None = None
    quoting: Literal["csv", "none"] | None = None
    skip_empty: bool = False
    classes: Annotated[list[str] | dict[str | int, str] | None, BeforeValidator(_checked_classes)] = None
    md5: Checksums = Checksums()
    test_fraction: Fraction = 0.2

    @property
    def class_of(self) -> dict[str, str] | None:
        """Label -> class, both cleaned, in the order given; None where the classes are those found in the file."""
        if self.classes is None:
            return None
        named = self.classes.items() if isinstance(self.classes, dict) else zip(self.classes, self.classes, strict=True)
        return {clean_label(str(label)): clean_label(name) for label, name in named}

    @model_validator(mode="after")
    def _check(self) -> "FileSource":
        columns = [self.label, *self.text, *self.keep]
        if self.header and any(isinstance(column, int) for column in columns):
            raise ValueError("columns go by number only with header: false")
        if not self.header and any(not isinstance(column, int) or column < 1 for column in columns):
            raise ValueError("with header: false, text, label and keep are column numbers from 1")
        for column in self.keep:
            if column in RESERVED:
                raise ValueError(f"keep: {column!r} is a column of flaxtext's own; rename yours to keep it")
            if self.keep.count(column) > 1:
                raise ValueError(f"keep: {short(column)} stands there twice; remove one")
        return self


class PydocsSource(Section):
    """The embedded corpus: class name -> the installed package whose docstrings are its documents."""

    format: Literal["pydocs"]
    packages: Annotated[dict[str, str], Field(min_length=2)]
    test_fraction: Fraction = 0.2


Source = FileSource | PydocsSource


def check_sources(values: Any, path: str) -> dict[str, Source]:
    """Check the section `sources`. Raises `UserError`."""
    if not isinstance(values, dict):
        raise UserError(f"{path}: sources: expected keys and values, got {short(values)}")
    problems: list[str] = []
    sources: dict[str, Source] = {}
    for name, own in values.items():
        is_pydocs = isinstance(own, dict) and own.get("format") == "pydocs"
        model: type[Source] = PydocsSource if is_pydocs else FileSource
        try:
            sources[str(name)] = checked(model, own, path, ("sources", str(name)))
        except UserError as error:
            problems += error.args
    if problems:
        raise UserError(*problems)
    return sources


def read_source(path: str | Path = PARAMS) -> tuple[Data, Source]:
    """Read section `data`, and the source that it names. Raises `UserError`."""
    values = read_yaml(path)
    data = Data.read("data", path)
    sources = values.get("sources")
    if not isinstance(sources, dict) or data.source not in sources:
        raise UserError(no_such_source(data.source, sources if isinstance(sources, dict) else {}, str(path)))
    return data, check_sources({data.source: sources[data.source]}, str(path))[data.source]


def no_such_source(name: str, sources: Any, path: str) -> str:
    """Say that `sources` has no `name`."""
    return f"{path}: data.source: {name!r} is not one of {', '.join(map(str, sources))}"
