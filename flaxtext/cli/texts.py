"""The texts that a command is given: as arguments, or as the lines of standard input."""

import codecs
import os
import sys
from collections.abc import Iterator
from typing import BinaryIO

from flaxtext.core.errors import UserError

LONGEST = 32 << 20
"""Bytes that a line may have."""
LINES = 1 << 14
"""Texts given at a time, at most."""
MARKS = {codecs.BOM_UTF32_LE: "UTF-32", codecs.BOM_UTF32_BE: "UTF-32", codecs.BOM_UTF16_LE: "UTF-16"} | {
    codecs.BOM_UTF16_BE: "UTF-16"
}
"""How a file of another encoding begins; the longer marks come first."""


def read_texts(texts: list[str] | None) -> Iterator[list[str]]:
    """Yield the texts, and for `-` or none at all the lines of standard input as they come.

    Raises `UserError` for what is not UTF-8, and for a line of more than `LONGEST` bytes.
    """
    for text in texts or ["-"]:
        if text == "-":
            yield from _lines_of(sys.stdin.buffer)
        else:
            yield [_utf8(text)]


def _utf8(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:  # bytes that are not of the locale's encoding, which may be ASCII, but of UTF-8
        try:
            return os.fsencode(text).decode()
        except UnicodeError:
            raise UserError(f"{text[:40]!a}: not UTF-8") from None
    return text


def _lines_of(stream: BinaryIO) -> Iterator[list[str]]:
    if stream.isatty():
        print("reading texts, one per line; Ctrl-D ends", file=sys.stderr)
    number = 0
    parts: list[bytes] = []  # of a line that is not yet whole
    size = 0
    while chunk := stream.read1(1 << 20):  # type: ignore[attr-defined]
        first, *others = chunk.split(b"\n")
        parts.append(first)
        size += len(first)
        if size > LONGEST:
            raise UserError(f"standard input: line {number + 1}: longer than {LONGEST:,} bytes; is it text?")
        if others:
            lines = [b"".join(parts), *others]
            parts, size = [lines.pop()], len(others[-1])
            for start in range(0, len(lines), LINES):
                yield _decoded(lines[start : start + LINES], number)
                number += len(lines[start : start + LINES])
    if size:
        yield _decoded([b"".join(parts)], number)


def _decoded(lines: list[bytes], number: int) -> list[str]:
    if not number:
        for mark, name in MARKS.items():
            if lines[0].startswith(mark):
                raise UserError(f"standard input: {name}, not UTF-8; convert it: iconv -f {name} -t UTF-8")
        lines[0] = lines[0].removeprefix(codecs.BOM_UTF8)
    texts = []
    for index, line in enumerate(lines, number + 1):
        try:
            texts.append(line.removesuffix(b"\r").decode())
        except UnicodeDecodeError:
            raise UserError(f"standard input: line {index}: not UTF-8") from None
    return texts
