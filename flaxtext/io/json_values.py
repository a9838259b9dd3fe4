"""JSON as Python has it, except that numbers keep their spelling; and as text again."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from flaxtext.core.errors import UserError
from flaxtext.io.values import quote_text

MAX_VALUES = 1_000_000
"""Values in a row that are read: more of them, in a few bytes each, would take gigabytes."""
SURROGATE = re.compile("[\ud800-\udfff]")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"')
_SPACE = re.compile(r"[ \t\n\r]*")


class Number(str):
    """A number of JSON, or NaN or an infinity, as it is spelled."""

    __slots__ = ()


_decoder = json.JSONDecoder(parse_int=Number, parse_float=Number, parse_constant=Number)


def parse(text: str) -> Any:
    """Parse JSON. Raises `json.JSONDecodeError`, and `RecursionError` for hundreds of levels."""
    return _decoder.decode(text)


def has_many_values(text: str) -> bool:
    """Whether the text of a row has more than `MAX_VALUES` values."""
    if len(text) < MAX_VALUES or sum(map(text.count, "[{,")) < MAX_VALUES:
        return False
    return sum(map(_STRING.sub("", text).count, "[{,")) >= MAX_VALUES


def members(text: str) -> Iterator[tuple[str, str]]:
    """Yield the name of each member of a JSON object, and the member as it is written, name and all."""
    position = _skip(text, 1 + len(text) - len(text.lstrip()))
    while text[position] != "}":
        start = position
        name, position = _decoder.raw_decode(text, position)
        position = _skip(text, _skip(text, position) + 1)  # the colon
        _, position = _decoder.raw_decode(text, position)
        yield name, text[start:position]
        position = _skip(text, position)
        if text[position] == ",":
            position = _skip(text, position + 1)


def _skip(text: str, position: int) -> int:
    space = _SPACE.match(text, position)
    return space.end() if space else position


def select_members(line: bytes, names: Sequence[str]) -> bytes:
    """Return a JSON object with those of its members that `names` names, in this order, as they are written."""
    own = dict(members(line.decode()))
    return ("{" + ", ".join(own[name] for name in names if name in own) + "}").encode()


def compact(value: Any) -> str:
    """Return a parsed value as JSON without spaces; half a surrogate pair as an escape."""
    text = _compact(value)
    return text if text.isascii() else SURROGATE.sub(lambda half: f"\\u{ord(half[0]):04x}", text)


def _compact(value: Any) -> str:
    if isinstance(value, Number):
        return value
    if isinstance(value, dict):
        return "{" + ",".join(f"{quote_text(name)}:{_compact(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_compact, value)) + "]"
    return quote_text(value)


def cell(value: Any) -> str | None:
    """Return a parsed value as a table of text has it: strings as they are, null as None, all else as JSON."""
    return value if value is None or isinstance(value, str) else compact(value)


def refuse_surrogates(where: str, name: str, text: str) -> None:
    """Raise `UserError` if `text`, of the column `name`, has half of a surrogate pair, which UTF-8 cannot say."""
    if half := SURROGATE.search(text):
        said = f"half of a surrogate pair (\\u{ord(half[0]):04x}) in {name}; write the whole pair, or remove it"
        raise UserError(f"{where}: {said}")
