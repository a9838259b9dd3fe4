"""Compare variants of params.yaml with simple peers on many data sets, and write bench/SETS.md.

Each set is cross-validated over its training documents: vocabulary, features and model are fitted anew without each
fold, and judged on it. With --test, models learn from all of them and answer about the test documents instead: once,
for the last reading, and never to choose by.
"""

import argparse
import csv
import importlib.util
import itertools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from bench import PROJECT, documents, peers
from bench.documents import Split
from bench.report import Table, environment
from flaxtext.artifacts.corpus import BATCH_ROWS
from flaxtext.compare.significance import holm, mcnemar
from flaxtext.config.params import Params, read_params
from flaxtext.core.errors import UserError, run
from flaxtext.download.sources import open_source
from flaxtext.evaluate.evaluation import calibration_error
from flaxtext.model.compilation import configure_jax
from flaxtext.train.cross_validation import Settings, answer, choose_folds, train_on

SHARED = PROJECT.parent / "shared"
AG_NEWS = {"ag_news_1": 0.01, "ag_news_10": 0.1, "ag_news": 1.0}
"""Fractions of AG News' training documents."""
EMBEDDED = "pydocs"
VARIANTS = ("subwords", "linear", "average_20", "sum_20")
STRONGEST = "strongest peer"
COMPARED = {"subwords": STRONGEST, "linear": "svm", "average_20": "fasttext", "sum_20": "fasttext"}
"""Each variant, and the peer that it has to come up to."""
LEVEL = 0.05

Answers = tuple[np.ndarray, np.ndarray | None]
"""Labels `int[n]`, and how probable each is, `float32[n]`, where a model says so."""
Model = Callable[["Documents", np.ndarray], Answers]
"""Learns from all documents but those of `bool[n]`, and answers about these."""


class Documents(NamedTuple):
    """Documents of which some are learned from: `texts: string[n]`, `labels: int32[n]` and the names of classes."""

    texts: pa.StringArray
    labels: np.ndarray
    classes: list[str]


class DataSet(NamedTuple):
    """A data set: training and test documents, and the names of the classes."""

    train: Split
    test: Split
    classes: list[str]


class Reading(NamedTuple):
    """What a model did on a set.

    Attributes:
        right: bool[n]; which documents it got right.
        calibration: its expected calibration error; None for a peer without probabilities.
        seconds: of a fold, training and answers, on average.
    """

    right: np.ndarray
    calibration: float | None
    seconds: float

    @property
    def accuracy(self) -> float:
        """The fraction that it got right."""
        return float(self.right.mean())


def variant(settings: Settings) -> Model:
    """Make a model of a variant."""

    def answers(given: Documents, is_out: np.ndarray) -> Answers:
        def texts() -> list[pa.StringArray]:
            return [given.texts[first : first + BATCH_ROWS] for first in range(0, len(given.texts), BATCH_ROWS)]

        model = train_on(settings, texts, given.labels, given.classes, ~is_out)
        probability = answer(model, texts, is_out)
        return probability.argmax(axis=1), probability.max(axis=1)

    return answers


def peer(fit_and_predict: Callable[[Split, pa.Array], np.ndarray]) -> Model:
    """Make a model of a peer."""

    def answers(given: Documents, is_out: np.ndarray) -> Answers:
        learned, asked = pa.array(~is_out), pa.array(is_out)
        train = Split(given.texts.filter(learned), given.labels[~is_out])
        return fit_and_predict(train, given.texts.filter(asked)), None

    return answers


def models(params: Params) -> dict[str, Model]:
    """Name -> model: variants as params.yaml has them, then the peers; fastText where it is installed."""
    found = {
        name: variant(Settings(params.variants[name], params.build_vocab, params.vectorize, name)) for name in VARIANTS
    }
    found["svm"] = peer(partial(peers.tfidf_svm, characters=False))
    found["svm_characters"] = peer(partial(peers.tfidf_svm, characters=True))
    if importlib.util.find_spec("fasttext"):
        found["fasttext"] = peer(peers.fasttext_words)
    return found


def read_set(folder: Path) -> DataSet:
    """Read train.csv and test.csv, whose columns are named `label` and `text`. Raises `UserError`."""
    rows: dict[str, list[tuple[str, str]]] = {}
    for split in ("train", "test"):
        path = folder / f"{split}.csv"
        try:
            with path.open(encoding="utf-8", newline="") as file:
                rows[split] = [(row["label"], row["text"]) for row in csv.DictReader(file)]
        except OSError as error:
            raise UserError(f"{path}: {error.strerror}; a set is a folder with train.csv and test.csv") from None
        except KeyError as error:
            raise UserError(f"{path}: no column {error}; name the columns label and text") from None
    classes = sorted({label for label, _ in itertools.chain(*rows.values())})
    number = {label: code for code, label in enumerate(classes)}
    splits = (
        Split(pa.array([text for _, text in own], pa.string()), np.array([number[label] for label, _ in own], np.int32))
        for own in rows.values()
    )
    return DataSet(*splits, classes)


def read_ag_news(folder: Path, fraction: float) -> DataSet:
    """Read AG News as published, and a fraction of its training documents, drawn at random."""
    found = documents.load(folder)
    count = round(fraction * len(found.train.labels))
    drawn = np.sort(np.random.default_rng(0).permutation(len(found.train.labels))[:count])
    train = Split(found.train.texts.take(pa.array(drawn)), found.train.labels[drawn])
    return DataSet(train, found.test, found.classes)


def read_embedded(params: Params) -> DataSet:
    """Read the embedded corpus as the download stage does."""
    data = params.data.model_copy(update={"source": EMBEDDED})
    parts: dict[str, list[pa.RecordBatch]] = {"train": [], "test": []}
    with open_source(data, params.sources[EMBEDDED]) as source:
        for split, batch in source.read(lambda *_: None):
            parts[split].append(batch)
        classes = source.classes.names
    tables = (pa.Table.from_batches(batches).combine_chunks() for batches in parts.values())
    splits = (
        Split(table["text"].chunk(0), table["label"].chunk(0).indices.to_numpy().astype(np.int32)) for table in tables
    )
    return DataSet(*splits, classes)


def available(folder: Path, ag_news: Path, params: Params) -> dict[str, Callable[[], DataSet]]:
    """Name -> how to read it: each folder's, AG News' parts, and the embedded corpus."""
    found: dict[str, Callable[[], DataSet]] = {
        path.parent.name: partial(read_set, path.parent) for path in sorted(folder.glob("*/train.csv"))
    }
    if (ag_news / "train.csv").exists():
        found |= {name: partial(read_ag_news, ag_news, fraction) for name, fraction in AG_NEWS.items()}
    if EMBEDDED in params.sources:
        found[EMBEDDED] = partial(read_embedded, params)
    return found


def rounds(data: DataSet, folds: int, *, use_test: bool) -> tuple[Documents, list[np.ndarray]]:
    """Choose which documents are left out in each round, `bool[n]`: those of a fold or, once, those of test."""
    if use_test:
        (train, labels), (test, test_labels) = data.train, data.test
        given = Documents(pa.concat_arrays([train, test]), np.concatenate([labels, test_labels]), data.classes)
        return given, [np.arange(len(given.labels)) >= len(labels)]
    numbers = choose_folds(data.train.labels, folds, seed=0)
    return Documents(*data.train, data.classes), [numbers == fold for fold in range(folds)]


def read(model: Model, given: Documents, left_out: Sequence[np.ndarray], bins: int) -> Reading:
    """Let a model learn and answer, round after round."""
    right, confidence, started = [], [], time.perf_counter()
    for is_out in left_out:
        predicted, probability = model(given, is_out)
        right.append(predicted == given.labels[is_out])
        confidence.append(probability)
    seconds = (time.perf_counter() - started) / len(left_out)
    found = np.concatenate(right)
    said = [part for part in confidence if part is not None]
    error = calibration_error(np.concatenate(said), found, bins) if said else None
    return Reading(found, error, seconds)


Readings = Mapping[str, Mapping[str, Reading]]
"""Set -> model -> what it did."""


def tables(readings: Readings, sizes: Mapping[str, str], judged: str) -> list[Table]:
    """Lay out accuracy, differences, calibration and seconds; `sizes` says what each set is."""
    names = list(dict.fromkeys(itertools.chain.from_iterable(readings.values())))
    ours = [name for name in names if name in VARIANTS]
    accuracy = Table("Accuracy", judged, ("set", "what", *names))
    calibration = Table("Calibration", "Expected calibration error of the same answers.", ("set", *ours))
    seconds = Table(
        "Seconds", "Of one training with its answers, compilation included, texts in memory.", ("set", *names)
    )
    for name, found in readings.items():
        accuracy.rows.append((name, sizes[name], *(_figure(found, model, "accuracy", ".4f") for model in names)))
        calibration.rows.append((name, *(_figure(found, model, "calibration", ".3f") for model in ours)))
        seconds.rows.append((name, *(_figure(found, model, "seconds", ".1f") for model in names)))
    if len(readings) > 1:
        means = [
            f"{np.mean([found[model].accuracy for found in readings.values()]):.4f}"
            if all(model in found for found in readings.values())
            else ""
            for model in names
        ]
        accuracy.rows.append(("mean", "", *means))
    return [accuracy, differences(readings), calibration, seconds]


def differences(readings: Readings) -> Table:
    """Compare each variant with its peer on each set: points of accuracy, standard error and corrected p-value."""
    text = (
        "Points of accuracy, with the standard error of paired documents, and the p-value of McNemar's exact test, "
        f"corrected for the sets (Holm). The strongest peer is the one of the highest accuracy on the same documents. "
        f"**Worse**: p is below {LEVEL}."
    )
    columns = {ours: column for ours, theirs in COMPARED.items() if (column := _against(readings, ours, theirs))}
    table = Table("Differences", text, ("set", *(f"{ours} - {COMPARED[ours]}" for ours in columns)))
    for name in readings:
        table.rows.append((name, *(column.get(name, ("", 0.0))[0] for column in columns.values())))
    if len(readings) > 1:
        means = (f"{np.mean([points for _, points in column.values()]):+.2f}" for column in columns.values())
        table.rows.append(("mean", *means))
    return table


def _against(readings: Readings, ours: str, theirs: str) -> dict[str, tuple[str, float]]:
    """Set -> the cell of a variant against a peer, and its points of accuracy; the sets that both have read."""
    pairs: dict[str, tuple[Reading, Reading, str]] = {}
    for name, found in readings.items():
        others = {model: one for model, one in found.items() if model not in VARIANTS}
        rival = max(others, key=lambda model: others[model].accuracy, default="") if theirs == STRONGEST else theirs
        if ours in found and rival in found:
            pairs[name] = found[ours], found[rival], f" ({rival})" if theirs == STRONGEST else ""
    corrected = holm([mcnemar(mine.right, other.right) for mine, other, _ in pairs.values()])
    cells = {}
    for (name, (mine, other, note)), p in zip(pairs.items(), corrected, strict=True):
        each = 100.0 * (mine.right.astype(int) - other.right.astype(int))
        points, error = float(each.mean()), float(each.std(ddof=1) / math.sqrt(len(each)))
        cell = f"{points:+.2f} ± {error:.2f}, p {p:.2g}{note}"
        cells[name] = f"**{cell}**" if points < 0 and p < LEVEL else cell, points
    return cells


def _figure(found: Mapping[str, Reading], model: str, figure: str, form: str) -> str:
    value = getattr(found[model], figure) if model in found else None
    return "" if value is None else format(value, form)


def page(found: Sequence[Table]) -> str:
    """Lay out the whole report."""
    head = "# Many data sets\n\nWritten by `python -m bench.sets`: one set of defaults, that of params.yaml.\n\n"
    return "\n".join([head + environment(), *(table.markdown() for table in found)])


def main() -> None:
    """Read the sets that the command line names, and write the tables anew after each."""
    params = read_params(PROJECT / "params.yaml")
    every = models(params)
    parser = argparse.ArgumentParser(prog="python -m bench.sets", description=__doc__)
    parser.add_argument("--sets", type=Path, default=SHARED / "sets", help="folder of NAME/{train,test}.csv")
    parser.add_argument("--ag-news", type=Path, default=SHARED / "ag_news", help="folder with AG News as published")
    parser.add_argument("--only", help="names of sets, separated by commas")
    parser.add_argument("--models", help=f"of {','.join(every)}")
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--test", action="store_true", help="read the test documents, and not folds")
    parser.add_argument("--output", type=Path, default=PROJECT / "bench/SETS.md")
    args = parser.parse_args()
    readers = available(args.sets, args.ag_news, params)
    if not readers:
        parser.error(f"--sets: no NAME/train.csv in {args.sets}")
    chosen = args.only.split(",") if args.only else list(readers)
    wanted = args.models.split(",") if args.models else list(every)
    for option, names, known in (("--only", chosen, readers), ("--models", wanted, every)):
        if strange := set(names) - set(known):
            parser.error(f"{option}: no {', '.join(sorted(strange))}; there are {', '.join(known)}")
    if args.folds < 2:
        parser.error("--folds: at least 2")

    configure_jax()
    judged = "On the test documents." if args.test else f"Cross-validated over training documents, {args.folds} folds."
    readings: dict[str, dict[str, Reading]] = {}
    sizes: dict[str, str] = {}
    for name in chosen:
        data = readers[name]()
        given, left_out = rounds(data, args.folds, use_test=args.test)
        sizes[name] = f"{len(data.train.labels):,} documents, {len(data.classes)} classes"
        readings[name] = {}
        for model in wanted:
            found = readings[name][model] = read(every[model], given, left_out, params.evaluate.calibration_bins)
            print(f"{name}: {model} {found.accuracy:.4f}, {found.seconds:.1f} s", flush=True)
        args.output.write_text(page(tables(readings, sizes, judged)), encoding="utf-8")
    print(f"written: {args.output}")


if __name__ == "__main__":
    run(main)
