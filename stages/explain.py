"""Explain one variant's answers: which words speak for the predicted and the true class, by LIME.

Reads the model, the test split's texts and the predictions; writes the chosen rows and the most confident
mistakes, with their words' signed weights, as JSON and as a page.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from flaxtext import params
from flaxtext.bundle import Classifier, load_bundle
from flaxtext.compilation import keep_compiled
from flaxtext.corpus import read_texts
from flaxtext.errors import UserError, run
from flaxtext.explanation import as_json, explain, rounded
from flaxtext.files import write_json, write_text
from flaxtext.pages import render_explanations


def choose(rows: list[int] | None, mistakes: int, predictions: pa.Table) -> dict[int, str]:
    """Choose rows of the test split: row -> "chosen" or "mistake".

    Without `rows`, the tutorial's choice. The `mistakes` come by falling probability of the predicted class.
    """
    n = predictions.num_rows
    if rows is None:
        rows = [int(np.random.RandomState(1234).randint(1, n)) if n > 1 else 0]
    for row in rows:
        if row >= n:
            raise UserError(f"params.yaml: explain.rows: {row} is beyond the test split's {n} rows (0 to {n - 1})")
    confidence = pc.list_flatten(predictions["probabilities"]).to_numpy().reshape(n, -1).max(axis=1)
    wrong = np.flatnonzero(pc.not_equal(predictions["label"], predictions["predicted"]).to_numpy())
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")].tolist()
    chosen = dict.fromkeys(rows, "chosen")
    return chosen | dict.fromkeys([row for row in worst if row not in chosen][:mistakes], "mistake")


def explain_document(
    model: Classifier, row: int, reason: str, text: str, prediction: dict[str, Any], settings: params.Explain
) -> dict[str, Any]:
    """Explain one document, as it stands in the JSON file; another document changes nothing here."""
    [tokens] = model.tokenize([text])
    named = {"true": prediction["label"], "predicted": prediction["predicted"]}
    probability = dict(zip(model.classes, prediction["probabilities"], strict=True))
    explained = list(dict.fromkeys([named["predicted"], named["true"]]))
    result = explain(
        tokens,
        model.token_ids(tokens),
        model.probabilities,
        [model.classes.index(name) for name in explained],
        max_len=model.max_len,
        samples=settings.samples,
        words=settings.words,
        rng=np.random.default_rng([settings.seed, row]),
    )
    sides = {side: {"class": name, "probability": rounded(probability[name])} for side, name in named.items()}
    return {"row": row, "reason": reason, "text": text, **sides, "explanations": as_json(result, explained)}


def summary(documents: list[dict[str, Any]]) -> str:
    """Lay out a line a document: row, true and predicted class, the words with the largest weights."""
    lines = [("row", "true", "predicted", "words for (+) and against (-) the predicted class")]
    for document in documents:
        words = document["explanations"][0]["words"][:6]
        listed = ", ".join(f"{word['word']} {word['weight']:+.2f}" for word in words)
        lines.append((str(document["row"]), document["true"]["class"], document["predicted"]["class"], listed))
    widths = [max(len(line[column]) for line in lines) for column in range(3)]
    return "\n".join(f"{a:>{widths[0]}}  {b:<{widths[1]}}  {c:<{widths[2]}}  {d}" for a, b, c, d in lines)


def main() -> None:
    """Explain the chosen rows and the most confident mistakes, and write both files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("variant")
    for name in ("model", "test", "predictions", "json", "html"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args()
    settings = params.load().explain

    predictions = ds.dataset(args.predictions).to_table(filter=pc.field("split") == "test").sort_by("row")
    chosen = choose(settings.rows, settings.mistakes, predictions)
    texts = read_texts(args.test, set(chosen))
    keep_compiled()
    model = load_bundle(args.model)
    documents = [
        explain_document(model, row, reason, texts[row], predictions.slice(row, 1).to_pylist()[0], settings)
        for row, reason in chosen.items()
    ]

    print(f"{args.variant}: LIME, {settings.samples} samples a document")
    print(summary(documents))
    write_json(args.json, documents)
    write_text(args.html, render_explanations(args.variant, documents))


if __name__ == "__main__":
    run(main)
