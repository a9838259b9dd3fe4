"""How values look in messages: what of a text does not show is written out, or taken away."""

import re
import unicodedata
from collections.abc import Sequence

JOINERS = "\u200c\u200d"
"""They shape the characters between which they stand, as in Persian and in emoji; at an end they do nothing."""
INVISIBLE = re.compile("[\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff]")
"""Soft hyphens, spaces without width, byte order marks, and what sets the direction of writing."""
OUTER = re.compile(rf"\A[\s{JOINERS}]+|[\s{JOINERS}]+\Z")
SHOWN = 20
"""Values that a message names."""
LENGTH = 40
"""Characters of a value in a message or a table."""


def visible(text: str, length: int | None = None) -> str:
    """Write a text on one line, of at most `length` characters if that is given, so that all of it shows.

    What does not print is escaped as in Python, such as a line break as `\\n`: nothing commands a terminal.
    """
    if length is not None and len(text) > length:
        text = f"{text[: max(0, length - 3)]}..."
    if not text.isprintable():
        text = "".join(own if own.isprintable() or own in JOINERS else _escaped(own) for own in text)
    return text if length is None or len(text) <= length else f"{text[: max(0, length - 3)]}..."


def name_some(values: Sequence[object]) -> str:
    """Name values for a message: at most 20, each made visible and cut short."""
    shown = ", ".join(visible(str(value), LENGTH) for value in values[:SHOWN])
    return shown if len(values) <= SHOWN else f"{shown}, ... ({len(values):,} in all)"


def percent(value: float) -> str:
    """Write a share such as 0.041 as `4.1%`; one that is small but not nothing as `<0.1%`."""
    return "<0.1%" if 0 < value < 0.0005 else f"{value:.1%}"


def without_invisible(text: str) -> str:
    """Take away white space around a text, and invisible characters in it."""
    if text.isascii():  # most are, and this is faster
        return text.strip()
    return OUTER.sub("", INVISIBLE.sub("", text))


def clean_label(text: str) -> str:
    """Bring labels that look the same into one form: nothing invisible, and characters composed (NFC)."""
    return unicodedata.normalize("NFC", without_invisible(text))


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode()
