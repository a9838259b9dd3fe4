"""Explain one variant's answers: which words speak for the predicted and the true class, and how true that is.

Reads the model, the test split's texts and the predictions; writes the chosen rows and the most confident mistakes,
with their words' signed weights by LIME, as JSON and as a page. Explains more documents in bulk, and writes how far
LIME and leaving words out beat random words there, and what each word adds to each class.
"""

import argparse
from functools import partial
from pathlib import Path

from checkout import fast_start, run_script

with fast_start():
    import numpy as np
    import pyarrow as pa

    from flaxtext.artifacts.bundle import read_bundle
    from flaxtext.artifacts.corpus import Corpus
    from flaxtext.artifacts.importance import write_importance
    from flaxtext.artifacts.metrics import write_json
    from flaxtext.artifacts.predictions import read_predictions
    from flaxtext.config.explain import Explain
    from flaxtext.core.errors import UserError
    from flaxtext.core.files import write_text
    from flaxtext.core.parallel import ordered_map
    from flaxtext.explain.documents import choose_documents, explain_document, summarize
    from flaxtext.explain.explanation import leave_one_out, one_blas_thread, readable_documents
    from flaxtext.explain.faithfulness import importance_of_words, judge
    from flaxtext.explain.pages import render_explanations
    from flaxtext.model.compilation import configure_jax
    from flaxtext.model.shortening import answer_shortened


def main() -> None:
    """Explain the chosen rows and the most confident mistakes, judge explanations in bulk, and write it all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("variant")
    for name in ("model", "test", "predictions", "json", "html", "importance", "metrics"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args()
    settings = Explain.read("explain")

    predictions = read_predictions(args.predictions)
    chosen = choose_documents(settings.rows, settings.mistakes, predictions)
    order = np.random.default_rng(settings.seed).permutation(len(predictions.rows))
    drawn = order[: settings.faithfulness.documents].tolist()
    texts = Corpus(args.test).take({*chosen, *drawn})
    configure_jax()
    model = read_bundle(args.model)
    answers = partial(answer_shortened, model, backend="jax")

    with one_blas_thread():
        explained = list(
            ordered_map(
                lambda row: explain_document(model, row, chosen[row], texts[row], predictions, settings, answers),
                chosen,
            )
        )
    print(f"{args.variant}: LIME, {settings.samples} samples a document")
    print(summarize(explained))

    bulk = settings.faithfulness
    documents, reached = readable_documents(model, {row: texts[row] for row in drawn}, bulk.samples)
    if not documents:
        raise UserError(f"{args.test}: no document holds a word that {args.model} knows")
    with one_blas_thread():
        found = leave_one_out([document.ids for document in documents], reached, answers)
    metrics = judge(documents, reached, found, answers, samples=bulk.samples, seed=settings.seed)
    print(f"\n{metrics['documents']:,} of {len(drawn):,} documents explained, {bulk.samples:,} samples each")
    for method in ("lime", "leave_one_out", "random"):
        print(f"{method:<14}" + "  ".join(f"{name} {value:.3f}" for name, value in metrics[method].items()))

    write_json(args.json, explained)
    write_text(args.html, render_explanations(args.variant, explained, model.vocabulary.tokenizer))
    write_json(args.metrics, metrics)
    words = pa.concat_arrays([model.vocabulary.words.cast(pa.string()), documents[0].ids.unknown])
    write_importance(args.importance, importance_of_words(found, words))


if __name__ == "__main__":
    run_script(main)
