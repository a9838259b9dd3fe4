"""What goes to a terminal: colours where they are wanted, and never a control character of a text or a file."""

import json
import os
import re
import shutil
import sys
from collections.abc import Sequence
from typing import IO, Any

from flaxtext.explain.pages import highlight, largest_weight
from flaxtext.text.words import Tokenizer

FOR = (153, 75, 33)
"""Blues of the 256 colours, the stronger the later; and oranges, as on the pages."""
AGAINST = (223, 215, 208)


def wants_colour(stream: IO[str]) -> bool:
    """Tell whether to colour: on a terminal, unless NO_COLOR is set (no-color.org) or the terminal is dumb."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def json_line(value: Any) -> str:
    """Write a value as JSON on one line, in ASCII where standard output has no other characters to show."""
    return json.dumps(value, ensure_ascii=not (sys.stdout.encoding or "").lower().startswith("utf"))


def plain(text: str) -> str:
    """Replace control characters and line breaks, among them what could command a terminal, by spaces."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]", " ", text)


def plain_lines(text: str) -> str:
    """Do as `plain`, except for the line feeds."""
    return "\n".join(plain(line) for line in text.split("\n"))


def fit(text: str, width: int | None) -> str:
    """Put a text on one line, of at most `width` characters if that is given."""
    line = plain(text)
    return line if width is None or len(line) <= width else line[: max(0, width - 1)] + "…"


def width_of(stream: IO[str]) -> int | None:
    """Return the width of the terminal, None if it is none."""
    return shutil.get_terminal_size().columns if stream.isatty() else None


def coloured(text: str, weight: float, largest: float, *, bold: bool = True) -> str:
    """Colour a word by its weight: blue for the class and underlined, orange against it."""
    shades = FOR if weight > 0 else AGAINST
    shade = shades[min(len(shades) - 1, int(len(shades) * abs(weight) / largest))]
    style = ("1;" if bold else "") + ("4;" if weight > 0 else "")
    return f"\x1b[{style}38;5;{shade}m{text}\x1b[0m"


class NoBar:
    """A progress bar that shows nothing."""

    def __enter__(self) -> "NoBar":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, rows: int) -> None:
        """Hear that so many more rows are done."""


def explained(document: dict[str, Any], tokenizer: Tokenizer, colour: bool) -> str:
    """Lay out an explained text: the answer, the text with its words coloured, and the words with their weights."""
    largest = largest_weight(document)
    lines = [f"{plain(document['predicted']['class'])}  {document['predicted']['probability']:.3f}"]
    for model in document["explanations"]:
        if len(document["explanations"]) > 1 or model["class"] != document["predicted"]["class"]:
            lines += ["", f"For or against {plain(model['class'])}"]
        pieces = highlight(document["text"], model["words"], tokenizer) if colour else [(document["text"], 0.0)]
        lines += ["", "".join(coloured(plain(p), w, largest) if w else plain(p) for p, w in pieces), ""]
        lines += _table(model["words"], largest, colour)
    return "\n".join(lines)


def _table(words: Sequence[dict[str, Any]], largest: float, colour: bool) -> list[str]:
    if not words:
        return ["  no words"]
    wide = max(len(word["word"]) for word in words)
    lines = []
    for word in words:
        bar = ("+" if word["weight"] > 0 else "-") * max(1, round(20 * abs(word["weight"]) / largest))
        bar = coloured(bar, word["weight"], largest, bold=False) if colour and word["weight"] else bar
        lines.append(
            f"  {plain(word['word']):<{wide}}  {word['weight']:+.3f}  {bar if word['weight'] else ''}".rstrip()
        )
    return lines
