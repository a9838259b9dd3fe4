"""HTML pages: self-contained, without scripts, every text and label escaped."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flaxtext.text.tokenizers import SEPARATORS

TEXT_CHARACTERS = 4000

_SEPARATORS = re.compile(f"([{re.escape(SEPARATORS)}]+)")


def render_explanations(variant: str, documents: Sequence[dict[str, Any]]) -> str:
    """Render the explanations of one variant; `documents` is the content of its JSON file (see `explain.documents`)."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # a terminal needs none, but what is below

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["highlight"] = highlight
    environment.globals["largest_weight"] = largest_weight
    template = environment.get_template("explanations.html")
    return template.render(variant=variant, documents=documents, text_characters=TEXT_CHARACTERS)


def highlight(text: str, words: Sequence[dict[str, Any]]) -> list[tuple[str, float]]:
    """Split `text` into pieces, each with its word's weight, 0 for separators and words without one.

    The pieces give the text when joined. Words are found as the tokenizer finds them: between its separators, in
    lower case.
    """
    weights = {word["word"]: word["weight"] for word in words}
    return [(piece, weights.get(piece.lower(), 0.0)) for piece in _SEPARATORS.split(text) if piece]


def largest_weight(document: dict[str, Any]) -> float:
    """Return the largest absolute weight of a document's words, to scale bars and colours by; never 0."""
    weights = (abs(word["weight"]) for explanation in document["explanations"] for word in explanation["words"])
    return max(weights, default=0.0) or 1.0
