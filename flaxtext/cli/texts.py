"""The texts that a command is given: as arguments, or as the lines of standard input."""

import sys
from collections.abc import Iterator
from typing import BinaryIO

from flaxtext.core.errors import UserError


def read_texts(texts: list[str] | None) -> Iterator[list[str]]:
    """Yield the texts, and for `-` or none at all the lines of standard input as they come.

    Raises `UserError` for what is not UTF-8.
    """
    for text in texts or ["-"]:
        if text == "-":
            yield from _lines_of(sys.stdin.buffer)
        else:
            yield [_utf8(text)]


def _utf8(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:  # bytes of the command that are not UTF-8
        raise UserError(f"{text[:40]!a}: not UTF-8") from None
    return text


def _lines_of(stream: BinaryIO) -> Iterator[list[str]]:
    if stream.isatty():
        print("reading texts, one per line; Ctrl-D ends", file=sys.stderr)
    number, rest = 0, b""
    while chunk := stream.read1(1 << 20):  # type: ignore[attr-defined]
        *lines, rest = (rest + chunk).split(b"\n")
        if lines:
            yield _decoded(lines, number)
            number += len(lines)
    if rest:
        yield _decoded([rest], number)


def _decoded(lines: list[bytes], number: int) -> list[str]:
    texts = []
    for index, line in enumerate(lines, number + 1):
        try:
            texts.append(line.removesuffix(b"\r").decode())
        except UnicodeDecodeError:
            raise UserError(f"standard input: line {index}: not UTF-8") from None
    return texts
