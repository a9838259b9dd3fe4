"""Say how true one variant's explanations are, and which words count in all.

Reads the model and texts of the test split; writes `metrics/explanations/VARIANT.json`, how far LIME and leaving
words out beat random words, and `data/importance/VARIANT.parquet`, what each word adds to each class.
"""

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from flaxtext import params
from flaxtext.bundle import Classifier, load_bundle
from flaxtext.compilation import keep_compiled
from flaxtext.corpus import Corpus, read_texts
from flaxtext.errors import UserError, run
from flaxtext.explanation import Contributions, leave_one_out
from flaxtext.faithfulness import Document, importance, judge
from flaxtext.files import atomic, write_json


def main() -> None:
    """Explain documents of the test split in bulk, and hold the explanations against random words."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("variant")
    for name in ("model", "test", "importance", "metrics"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args()
    settings = params.load().faithfulness

    keep_compiled()
    model = load_bundle(args.model)
    documents = choose(model, args.test, settings.documents, settings.seed)
    if not documents:
        raise UserError(f"{args.test}: no document holds a word that {args.model} knows")
    found = leave_one_out([document.ids for document in documents], model.probabilities, model.max_len)
    metrics = judge(
        documents, found, model.probabilities, max_len=model.max_len, samples=settings.samples, seed=settings.seed
    )
    print(f"{args.variant}: {metrics['documents']:,} documents explained, {settings.samples:,} samples each")
    for method in ("lime", "leave_one_out", "random"):
        print(f"{method:<14}" + "  ".join(f"{name} {value:.3f}" for name, value in metrics[method].items()))
    write_json(args.metrics, metrics)
    with atomic(args.importance) as temporary:
        pq.write_table(table_of(model, found), temporary, compression="zstd")


def choose(model: Classifier, path: Path, limit: int | None, seed: int) -> list[Document]:
    """Draw `limit` documents of the test split (all, if null), in file order."""
    order = np.random.default_rng(seed).permutation(len(Corpus(path)))
    return as_documents(model, read_texts(path, set(order[:limit].tolist())))


def as_documents(model: Classifier, texts: dict[int, str]) -> list[Document]:
    """Split texts, row -> text, into the model's words, and leave out those with none that it knows."""
    tokens = model.tokenize(list(texts.values()))
    documents = [Document(row, words, model.token_ids(words)) for row, words in zip(texts, tokens, strict=True)]
    return [document for document in documents if document.ids.any()]


def table_of(model: Classifier, found: list[Contributions]) -> pa.Table:
    """Lay out what each word adds to each class, weightiest words first: word, documents, and a weight a class."""
    counts, weights = importance(found, model.vocabulary.rows)
    held = np.flatnonzero(counts)
    held = held[np.argsort(-np.abs(weights[held]).max(axis=1), kind="stable")]
    matrix = pa.FixedSizeListArray.from_arrays(
        pa.array(weights[held].astype(np.float32).reshape(-1)), len(model.classes)
    )
    words = model.vocabulary.words.take(pa.array(held - 1))
    return pa.table({"word": words, "documents": pa.array(counts[held]), "weights": matrix})


if __name__ == "__main__":
    run(main)
