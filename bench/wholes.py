"""The comparisons of whole tasks: training from files, text to predictions, the pipeline, and how it all grows."""

from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from bench import documents, our_token_ids, peers
from bench.measure import Child, alternate, child, timed
from bench.our_models import EPOCHS, EndToEnd
from bench.pipeline import Pipeline
from bench.report import COMPARISON, Table, comparison
from bench.setting import Setting
from flaxtext.compare.comparison import mcnemar

FACTORS = (1, 2, 4, 8)
BEST = "subwords"


def fasttext(setting: Setting) -> Table:
    """Run fastText against the training of average_20, in fresh processes."""
    peer = partial(child, "bench.peers:fasttext", folder=setting.files)
    table = Table(
        "fastText",
        "fastText (dim 10, 5 epochs, default learning rate, all cores) reads its text file and trains; average_20 "
        f"reads token ids and vocabulary and trains {EPOCHS} epochs. Each run is a process of its own, whose start-up "
        "and imports are not counted but noted. With compilation: the first training in the process, with JAX's "
        "compilation cache on disk warm. Compilation apart: a second training in the same process.",
        COMPARISON,
    )
    orders, cold = {}, {}
    for order in ("file order", "shuffled"):
        settings = {"folder": setting.files, "shuffle": order == "shuffled"}
        orders[order] = partial(
            child, "bench.our_models:read_and_train", cache=setting.scratch / f"jax, {order}", **settings
        )
        cold[order] = orders[order]().result["with compilation"]
    runs = alternate({"fastText": partial(peer, ngrams=1), **orders}, setting.pairs)
    theirs = runs.pop("fastText")
    for order, mine in runs.items():
        peaks = median(run.peak for run in theirs), middle(mine, "peak")
        startup = [f"{median(run.startup for run in side):.2g}" for side in (theirs, mine)]
        accuracy = f"accuracy {middle(theirs, 'accuracy'):.3f}, {middle(mine, 'accuracy'):.3f}"
        notes = {
            "compilation apart": f"{accuracy}; {middle(mine, 'reading'):.2g} s of flaxtext's are reading",
            "with compilation": f"with an empty cache {cold[order]:.2g} s; start-up {', '.join(startup)} s",
        }
        for work, note in notes.items():
            seconds = [run.result["seconds"] for run in theirs], [run.result[work] for run in mine]
            table.rows.append(comparison(f"{order}, {work}", "fastText", *seconds, peaks, note))
    return table


def bigrams(setting: Setting) -> Table:
    """Run fastText with bigrams, as published for AG News, against the best variant of params.yaml."""
    folder = setting.scratch / "train-alone"
    documents.write(setting.documents, folder)
    our_token_ids.in_files(str(folder), fit_on=["train"], tokenizer="unicode")
    peer = partial(child, "bench.peers:fasttext", folder=str(folder), ngrams=2, lr=0.25, bucket=10_000_000)
    mine = partial(
        child, "bench.our_models:shipped", cache=setting.scratch / "jax, shipped", folder=str(folder), variant=BEST
    )
    cold = mine().result["with compilation"]
    runs = alternate({"fastText": peer, BEST: mine}, setting.pairs)
    theirs, ours = runs["fastText"], runs[BEST]
    right = [np.array(side[0].result["right"], bool) for side in (ours, theirs)]
    table = Table(
        f"fastText with bigrams, and {BEST}",
        "fastText as its authors published it for AG News (dim 10, 5 epochs, learning rate 0.25, word bigrams in 10 "
        f"million buckets, all cores) reads its text file and trains. {BEST}, as in params.yaml, reads token ids and a "
        "vocabulary of the training split alone, and holds a twentieth of the training documents out, to calibrate by. "
        "Each run is a process of its own. Exact McNemar test of the first pair's answers on test: "
        f"p = {mcnemar(*right):.2g}.",
        COMPARISON,
    )
    peaks = median(run.peak for run in theirs), middle(ours, "peak")
    notes = {
        "compilation apart": f"accuracy {middle(theirs, 'accuracy'):.4f}, {middle(ours, 'accuracy'):.4f}",
        "with compilation": f"with an empty cache {cold:.2g} s",
    }
    for work, note in notes.items():
        seconds = [run.result["seconds"] for run in theirs], [run.result[work] for run in ours]
        table.rows.append(comparison(work, "fastText", *seconds, peaks, note))
    return table


def middle(runs: list[Child], figure: str) -> float:
    """The median of a figure in the results of several processes."""
    return median(run.result[figure] for run in runs)


def sklearn(setting: Setting) -> Table:
    """Run scikit-learn's TF-IDF and linear SVM against flaxtext, from texts in memory to predictions."""
    table = Table(
        "TF-IDF and linear SVM",
        "scikit-learn's TfidfVectorizer and LinearSVC with their defaults fit on train and predict test; flaxtext "
        f"fits a vocabulary on train, numbers words, trains average_20 for {EPOCHS} epochs and predicts test. Texts "
        "in memory; imports and compilation not counted. scikit-learn uses one core.",
        COMPARISON,
    )
    train, test = setting.documents.train, setting.documents.test
    mine = EndToEnd(train, test, setting.documents.classes)
    theirs = {"words": peers.LinearSvm(train, test, 1), "words and bigrams": peers.LinearSvm(train, test, 2)}
    mine.run()
    theirs["words"].run()
    sides = {"flaxtext": mine, **theirs}
    times = alternate({name: timed(side.run) for name, side in sides.items()}, setting.pairs)
    peak = child("bench.our_models:end_to_end", folder=setting.files).peak
    for name, work in theirs.items():
        peaks = child("bench.peers:linear_svm", folder=setting.files, ngrams=work.ngrams).peak, peak
        notes = f"accuracy {work.accuracy:.3f}, {mine.accuracy:.3f}"
        table.rows.append(comparison(name, "scikit-learn", times[name], times["flaxtext"], peaks, notes))
    return table


def whole(setting: Setting) -> Table:
    """Run the tutorial's own procedure against a cold run of the pipeline."""
    peer = child("bench.tutorial:procedure", folder=setting.files, row=setting.row, epochs=EPOCHS)
    compiled = setting.scratch / "jax, whole"
    pipeline, another = (
        Pipeline(setting.scratch / name, Path(setting.files), setting.documents.classes, compiled)
        for name in ("whole", "another whole")
    )
    cold = {"everything": pipeline.repro(), "everything, compiled before": another.repro()}
    again = [pipeline.repro() for _ in range(setting.pairs)]
    table = Table(
        "The whole",
        "From CSV files to explanations, once. The tutorial's procedure in one process: Keras, four loops of "
        f"{EPOCHS} epochs with the accuracy on test after each, evaluation, and one explanation a variant by the "
        "lime package. flaxtext: `dvc repro -P`, as `make run` has it, of the tutorial's protocol in a fresh copy, "
        "with empty caches of DVC and JAX: all stages, four variants, six explanations each, 300 more to measure how "
        "true they are, every file written and hashed. Start-up, imports and compilation are in both. Compiled before: "
        "the same in another fresh copy, with the cache of JAX that the first left, as of anyone who has run such a "
        "pipeline once.\n\n`dvc repro -P` again, with nothing changed: "
        f"{median(again):.2f} s ({min(again):.2f} to {max(again):.2f}).",
        COMPARISON,
    )
    mine = pipeline.accuracies()
    notes = "accuracy " + "; ".join(f"{name} {theirs:.3f}, {mine[name]:.3f}" for name, theirs in peer.result.items())
    for name, seconds in cold.items():
        table.rows.append(comparison(name, "tutorial's procedure", [peer.seconds], [seconds], notes=notes))
    return table


def growth(setting: Setting) -> Table:
    """Run flaxtext alone on 1, 2, 4 and 8 times the training documents."""
    size = len(setting.train.labels)
    table = Table(
        "Growth",
        f"flaxtext alone. Documents beyond the first {size:,} are made from those by recombining their words at "
        "random within each class. Microseconds a document and, in brackets, relative to 1x; the least of "
        f"{setting.pairs} rounds, each in processes of its own, since what else the machine does only adds. "
        "Vocabulary and token ids: from Parquet to Parquet, after 1,000 others that do not count; the peak memory, the "
        "median, is that of their process. Recombined documents bring no new words: to rank and write the vocabulary "
        "takes no longer, and a document's share of that falls. Epoch: average_20 in file order, warm. Predict: from "
        "token ids to probabilities, warm.",
        ("documents", "vocabulary, µs", "token ids, µs", "epoch, µs", "predict, µs", "peak memory"),
    )
    folders = {factor: setting.scratch / f"growth-{factor}" for factor in FACTORS}
    warm_up = setting.scratch / "growth-warm-up"
    for folder, n in [(warm_up, 1000), *((folders[factor], factor * size) for factor in FACTORS)]:
        folder.mkdir()
        grown = documents.grow(setting.documents.train, n)
        documents.write_parquet(grown, setting.documents.classes, folder / "train.parquet")

    def run(folder: Path) -> dict[str, Any]:
        made = child("bench.our_token_ids:in_files", folder=str(folder), splits=["train"], warm_up=str(warm_up))
        keywords = {"folder": str(folder), "variant": "average_20", "epochs": 4}
        trained = child("bench.our_models:epoch_and_predict", cache=setting.scratch / "jax", **keywords)
        return {**made.result, **trained.result, "peak": made.peak}

    runs = alternate({factor: partial(run, folder) for factor, folder in folders.items()}, setting.pairs)
    for factor in FACTORS:
        cells = [f"{factor}x: {factor * size:,}"]
        for work in ("vocabulary", "token ids", "epoch", "predict"):
            each, base = (min(run[work] for run in runs[n]) / n / size * 1e6 for n in (factor, 1))
            cells.append(f"{each:.3g} ({each / base:.2f})")
        table.rows.append([*cells, f"{median(run['peak'] for run in runs[factor]):,.0f} MB"])
    return table
