"""Explain one variant's answers: which words speak for the predicted and the true class, and how true that is.

Reads the model, the test split's texts and the predictions; writes the chosen rows and the most confident mistakes,
with their words' signed weights by LIME, as JSON and as a page. Explains more documents in bulk, and writes how far
LIME and leaving words out beat random words there, and what each word adds to each class.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import flaxtext.core.startup
from flaxtext.core import params
from flaxtext.core.errors import UserError
from flaxtext.core.files import atomic, write_json, write_text
from flaxtext.core.parallel import ordered_map
from flaxtext.explain.explanation import as_json, explain, leave_one_out, one_blas_thread, rounded
from flaxtext.explain.faithfulness import Document, importance_table, judge
from flaxtext.explain.pages import render_explanations
from flaxtext.models.bundle import Classifier, load_bundle
from flaxtext.models.compilation import configure_jax
from flaxtext.text.corpus import read_texts


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


def as_documents(model: Classifier, texts: dict[int, str]) -> list[Document]:
    """Split texts, row -> text, into the model's words, and leave out those with none that it knows."""
    tokens = model.tokenize(list(texts.values()))
    documents = [Document(row, words, model.token_ids(words)) for row, words in zip(texts, tokens, strict=True)]
    return [document for document in documents if document.ids.any()]


def main() -> None:
    """Explain the chosen rows and the most confident mistakes, judge explanations in bulk, and write it all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("variant")
    for name in ("model", "test", "predictions", "json", "html", "importance", "metrics"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args()
    settings = params.load().explain

    predictions = pq.read_table(args.predictions, filters=pc.field("split") == "test").sort_by("row")
    chosen = choose(settings.rows, settings.mistakes, predictions)
    drawn = np.random.default_rng(settings.seed).permutation(predictions.num_rows)[: settings.faithfulness.documents]
    texts = read_texts(args.test, {*chosen, *drawn.tolist()})
    configure_jax()
    model = load_bundle(args.model)

    def work(row: int) -> dict[str, Any]:
        return explain_document(model, row, chosen[row], texts[row], predictions.slice(row, 1).to_pylist()[0], settings)

    with one_blas_thread():
        explained = list(ordered_map(work, chosen))
    print(f"{args.variant}: LIME, {settings.samples} samples a document")
    print(summary(explained))

    documents = as_documents(model, {row: texts[row] for row in sorted(drawn.tolist())})
    if not documents:
        raise UserError(f"{args.test}: no document holds a word that {args.model} knows")
    found = leave_one_out([document.ids for document in documents], model.probabilities, model.max_len)
    samples, seed = settings.faithfulness.samples, settings.seed
    metrics = judge(documents, found, model.probabilities, max_len=model.max_len, samples=samples, seed=seed)
    print(f"\n{metrics['documents']:,} documents explained, {samples:,} samples each")
    for method in ("lime", "leave_one_out", "random"):
        print(f"{method:<14}" + "  ".join(f"{name} {value:.3f}" for name, value in metrics[method].items()))

    write_json(args.json, explained)
    write_text(args.html, render_explanations(args.variant, explained))
    write_json(args.metrics, metrics)
    with atomic(args.importance) as temporary:
        pq.write_table(importance_table(found, model.vocabulary.words), temporary, compression="zstd")


if __name__ == "__main__":
    flaxtext.core.startup.run(main)
