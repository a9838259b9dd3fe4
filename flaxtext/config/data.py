"""Sections `data` and `sources`: where labelled text comes from."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from flaxtext.config import PARAMS, Fraction, Section, checked, read_yaml, short
from flaxtext.core.errors import UserError


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
    text: Annotated[list[str | int], BeforeValidator(_as_list)] = Field(default=["text"], min_length=1)
    label: str | int = "label"
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
            problems.append(str(error))
    if problems:
        raise UserError("\n".join(problems))
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
