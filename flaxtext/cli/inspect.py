"""The command `inspect`."""

from pathlib import Path
from typing import Annotated

import typer

from flaxtext.cli.options import AsJson, Model


def inspect(
    model: Model,
    word: Annotated[
        list[str] | None,
        typer.Option("--word", "-w", metavar="WORD", help="List the words nearest to this one; repeatable."),
    ] = None,
    nearest: Annotated[int, typer.Option(min=1, help="How many of them.")] = 10,
    metrics: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Where evaluate and compare wrote their figures.  [default: the project's]"
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Tell what a model is: network, classes, data, training, figures; and which words it takes for alike.

    - `flaxtext inspect -m data/models/average_20`
    - `flaxtext inspect -m data/models/average_20 --word array`

    Nearness of words is the cosine between their embeddings.
    """
    from flaxtext.artifacts.bundle import read_bundle
    from flaxtext.cli.description import describe_model, nearest_words, readable_facts
    from flaxtext.cli.terminal import json_line, plain, plain_lines

    loaded = read_bundle(model)
    if not word:
        facts = describe_model(loaded, model, metrics)
        print(json_line(facts) if as_json else plain_lines(readable_facts(facts)))
        return
    for one in word:
        neighbours = nearest_words(loaded, one, nearest)
        if as_json:
            words = [{"word": near, "cosine": cosine} for near, cosine in neighbours]
            print(json_line({"word": one, "nearest": words}))
        else:
            print(plain(one))
            print("\n".join(f"  {cosine:6.3f}  {plain(near)}" for near, cosine in neighbours))
