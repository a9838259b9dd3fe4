"""The model card: what a model is, what it was trained on and how, how to use it, and what not to expect of it."""

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from flaxtext.models.forward import Parameters, flat
from flaxtext.text.vocabulary import Vocabulary

NETWORK = (
    "model",
    "pooling",
    "embed_dim",
    "hidden",
    "stem",
    "ngrams",
    "ngram_min_count",
    "ngram_rows",
    "ensemble",
    "seeds",
)
OWN = ("variant", "classes", "max_len", "data", "last_epoch", *NETWORK)
LINEAR = ("seed", "validation", "validation_from", "class_weights", "C")
"""The training parameters that a linear model heeds."""


def training_parameters(config: dict[str, Any]) -> dict[str, Any]:
    """Return what of a configuration says how the model was trained."""
    is_linear = config.get("model") == "linear"
    return {
        name: value
        for name, value in config.items()
        if name not in (*OWN, "format", "versions") and (not is_linear or name in LINEAR)
    }


def network_parameters(config: dict[str, Any]) -> dict[str, Any]:
    """Return what of a configuration says what the model is."""
    return {name: config[name] for name in NETWORK if name in config}


def in_words(config: dict[str, Any]) -> str:
    """Say what a model is, in a line."""
    reads = ["words"]
    if config.get("stem"):
        reads.append(f"stems of {config['stem']} letters")
    if (n := config.get("ngrams", 1)) > 1:
        lengths = "pairs" if n == 2 else f"runs of up to {n}"
        reads.append(f"{lengths} of {reads[-1].split()[0]}")
    if config.get("model") == "linear":
        return f"TF-IDF and a linear support vector machine, of {', '.join(reads)}"
    layer = f", hidden layer of {config['hidden']}" if config["hidden"] else ""
    network = f"{config['pooling']} of {config['embed_dim']}-dimensional embeddings of {', '.join(reads)}{layer}"
    return network + (f"; the average of {config['seeds']} seeds" if config.get("ensemble") else "")


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
    arrays = {name: tuple(np.shape(array)) for name, array in flat(parameters).items()}
    size = sum(math.prod(shape) for shape in arrays.values()) * (config["seeds"] if config.get("ensemble") else 1)
    return environment.get_template("card.md").render(
        config=config,
        model=in_words(config),
        training=training_parameters(config),
        arrays=arrays,
        size=size,
        words=len(words),
    )


def escape_markdown(value: object) -> str:
    """Escape a name so that Markdown shows it as it is, on one line."""
    return re.sub(r"([\\`*_\[\]<>|&~])", r"\\\1", " ".join(str(value).split()))
