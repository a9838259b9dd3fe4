"""HTML pages: self-contained, without scripts, every text and label escaped."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from flaxtext.text.words import Tokenizer, pieces

TEXT_CHARACTERS = 4000


def render_explanations(variant: str, documents: Sequence[dict[str, Any]], tokenizer: Tokenizer) -> str:
    """Render the explanations of one variant; `documents` is the content of its JSON file (see `explain.documents`)."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # a terminal needs none, but what is below

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["highlight"] = partial(highlight, tokenizer=tokenizer)
    environment.globals["largest_weight"] = largest_weight
    template = environment.get_template("explanations.html")
    return template.render(variant=variant, documents=documents, text_characters=TEXT_CHARACTERS)


def highlight(text: str, words: Sequence[dict[str, Any]], tokenizer: Tokenizer) -> list[tuple[str, float]]:
    """Split `text` into pieces, each with its word's weight, 0 for what is between words and for words without one.

    The pieces give the text when joined.
    """
    weights = {word["word"]: word["weight"] for word in words}
    return [(piece, weights.get(word, 0.0)) for piece, word in pieces(text, tokenizer)]


def largest_weight(document: dict[str, Any]) -> float:
    """Return the largest absolute weight of a document's words, to scale bars and colours by; never 0."""
    weights = (abs(word["weight"]) for explanation in document["explanations"] for word in explanation["words"])
    return max(weights, default=0.0) or 1.0
