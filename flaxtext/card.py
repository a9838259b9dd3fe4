"""The model card: what a model is, what it was trained on and how, how to use it, and what not to expect of it."""

import json
import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from flaxtext.network import Parameters, flat
from flaxtext.vocabulary import Vocabulary

NETWORK = ("pooling", "embed_dim", "hidden")
OWN = ("variant", "classes", "max_len", "data", "last_epoch", *NETWORK)
"""The keys of a configuration that are no training parameters."""


def training_parameters(config: dict[str, Any]) -> dict[str, Any]:
    """Return what of a configuration says how the model was trained."""
    return {name: value for name, value in config.items() if name not in (*OWN, "format", "versions")}


def render_card(config: dict[str, Any], parameters: Parameters, words: Vocabulary) -> str:
    """Render the card, Markdown, of a bundle with these contents."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=False,  # noqa: S701, it is Markdown; names go through the filter
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["md"] = escape_markdown
    environment.filters["number"] = "{:,}".format
    environment.filters["json"] = lambda value: json.dumps(value, ensure_ascii=False)
    arrays = {name: tuple(array.shape) for name, array in flat(parameters).items()}
    size = sum(array.size for array in flat(parameters).values())
    return environment.get_template("card.md").render(
        config=config, training=training_parameters(config), arrays=arrays, size=size, words=len(words)
    )


def escape_markdown(value: object) -> str:
    """Escape a name so that Markdown shows it as it is, on one line."""
    return re.sub(r"([\\`*_\[\]<>|&~])", r"\\\1", " ".join(str(value).split()))
