"""The command `explain`."""

import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from flaxtext.cli.options import AsJson, Model, Texts, check_target
from flaxtext.cli.texts import read_texts
from flaxtext.core.errors import UserError


def explain(
    model: Model,
    texts: Texts = None,
    class_: Annotated[
        list[str] | None,
        typer.Option("--class", metavar="CLASS", help="Explain this class rather than the predicted one; repeatable."),
    ] = None,
    words: Annotated[int, typer.Option(min=1, help="How many words get a weight.")] = 10,
    samples: Annotated[int, typer.Option(min=10, help="How many shortened texts the model is asked about.")] = 5000,
    seed: Annotated[int, typer.Option(min=0, help="Of the random choice of them.")] = 0,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a page as well.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show which words of a text speak for its class and which against it, by LIME.

    - `flaxtext explain -m data/models/average_20 "some text"`

    On a terminal, words for the class are blue and underlined, words against it orange; the stronger, the darker.
    A weight is what a word adds to the class's probability. NO_COLOR=1 in the environment switches colours off.
    """
    import numpy as np

    from flaxtext.artifacts.bundle import read_bundle
    from flaxtext.cli import terminal
    from flaxtext.core.files import open_output
    from flaxtext.explain import explanation
    from flaxtext.explain.pages import render_explanations
    from flaxtext.model.shortening import answer_shortened

    check_target(html, "--html")
    if html:
        import jinja2  # noqa: F401, so that its lack is told before all the work
    loaded = read_bundle(model)
    named = class_ or []
    for name in named:
        if name not in loaded.classes:
            raise UserError(f"{model}: no class {name!r}; there are {', '.join(loaded.classes[:20])}")
    documents: list[dict[str, Any]] = []
    first = True
    for block in read_texts(texts):
        for text in block:
            [document] = explanation.read_documents(loaded, {0: text})
            probability = loaded.probabilities(loaded.cut(document.ids))[0]
            predicted = loaded.classes[int(probability.argmax())]
            explained = list(dict.fromkeys(named)) or [predicted]
            result = explanation.explain(
                document,
                partial(answer_shortened, loaded),
                [loaded.classes.index(name) for name in explained],
                samples=samples,
                words=words,
                rng=np.random.default_rng(seed),
            )
            side = {"class": predicted, "probability": explanation.six_digits(probability.max())}
            models = explanation.as_json(result, explained)
            told = {"text": text, "predicted": side, "explanations": models}
            if html:
                documents.append(told)
            if as_json:
                print(terminal.json_line(told), flush=True)
            else:
                print("" if first else "\n\n", end="")
                colour = terminal.wants_colour(sys.stdout)
                print(terminal.explained(told, loaded.vocabulary.tokenizer, colour), flush=True)
            first = False
    if html:
        with open_output(html) as page:
            name = loaded.info.variant or model.name
            page.write(render_explanations(name, documents, loaded.vocabulary.tokenizer).encode())
        print(f"{html}: {len(documents):,} texts explained", file=sys.stderr)
