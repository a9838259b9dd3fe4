"""YAML files that anyone may have written, parsed, or refused in one line: none takes down the process, or its memory.

The parser in C recurses on its own stack and would end the process on brackets nested by the thousand; aliases can make
a billion values of a few lines. Both show in the file's events, which are read first and one by one.
"""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import AliasEvent, MappingEndEvent, NodeEvent, ScalarEvent, SequenceEndEvent

from flaxtext.core.errors import UserError, one_line

MAX_BYTES = 2**20
MAX_DEPTH = 40
MAX_VALUES = 100_000
"""Values of a file, at most, those counted again that an alias repeats."""


def parse_file(path: Path, parser: YAML | None = None) -> Any:
    """Parse the YAML file `path`, fast, or by the `parser` given, which may keep comments.

    Raises `UserError` where there is no such file, or what it holds is not YAML in UTF-8, or absurd.
    """
    text = read_text(path)
    try:
        return parse_text(text, parser or YAML(typ="safe"))
    except YAMLError as error:
        why: Exception = error
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None
    try:  # the parser in C is fast, the one in Python says why
        parse_text(text, YAML(typ="safe", pure=True))
    except (YAMLError, ValueError) as error:
        why = error
    mark = getattr(why, "problem_mark", None)
    where = f", line {mark.line + 1}" if mark else ""
    raise UserError(f"{path}{where}: not YAML: {one_line(getattr(why, 'problem', None) or why)}") from None


def read_text(path: Path) -> str:
    """Read a text file in UTF-8, with a byte order mark or without. Raises `UserError` where it is not one."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run from the project's folder") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise UserError(f"{path}: more than {MAX_BYTES:,} bytes, which are no parameters")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{path}: not UTF-8; save it as that") from None


def parse_text(text: str, parser: YAML) -> Any:
    """Parse YAML. Raises `YAMLError` where it is none, and `ValueError`, in words of YAML, for what cannot be read."""
    with suppress(YAMLError):  # which `parser` meets at the same place
        _check_extent(YAML(typ="safe").parse(text))
    try:
        return parser.load(text)
    except YAMLError:
        raise
    except Exception as error:  # noqa: BLE001, whatever a tag or a date makes of its text
        digits = "Exceeds the limit" in str(error)  # of int, whose message is about Python
        reason = "a number of thousands of digits" if digits else one_line(error)
        raise ValueError(f"a value cannot be read: {reason}") from None


def _check_extent(events: Iterable[Any]) -> None:
    """Raise `ValueError` where nesting or aliases are beyond all measure."""
    values = 0
    sizes: dict[str, int] = {}
    open_: list[tuple[str | None, int]] = []
    for event in events:
        if isinstance(event, AliasEvent):
            if event.anchor not in sizes and any(anchor == event.anchor for anchor, _ in open_):
                raise ValueError(f"*{event.anchor} stands within what it repeats")
            values += sizes.get(event.anchor, 0)  # of none, the parser says so
        elif isinstance(event, ScalarEvent):
            values += 1
            sizes |= {event.anchor: 1} if event.anchor else {}
        elif isinstance(event, NodeEvent):
            values += 1
            open_.append((event.anchor, values))
            if len(open_) > MAX_DEPTH:
                raise ValueError(f"nested more than {MAX_DEPTH} deep")
        elif isinstance(event, MappingEndEvent | SequenceEndEvent):
            anchor, before = open_.pop()
            sizes |= {anchor: values - before + 1} if anchor else {}
        if values > MAX_VALUES:
            raise ValueError(f"more than {MAX_VALUES:,} values, those counted again that an alias repeats")
