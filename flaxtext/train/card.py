"""The model card: what a model is, what it was trained on and how, how to use it, and what not to expect of it."""

import json
import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from flaxtext.model.classifier import Classifier


def render_card(model: Classifier) -> str:
    """Render a model's card, Markdown."""
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
    return environment.get_template("card.md").render(
        info=model.info,
        architecture=model.architecture,
        model=model.description,
        reads=model.reads,
        unknown_words_count=bool(model.architecture.characters),
        size=model.size,
        words=len(model.vocabulary),
    )


def escape_markdown(value: object) -> str:
    """Escape a name so that Markdown shows it as it is, on one line."""
    return re.sub(r"([\\`*_\[\]<>|&~])", r"\\\1", " ".join(str(value).split()))
