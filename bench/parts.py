"""The comparisons of single steps: an epoch, vocabulary and token ids, an explanation."""

from functools import partial
from pathlib import Path

import numpy as np

from bench import our_models, our_token_ids, peers
from bench.measure import alternate, child, timed
from bench.our_models import VARIANTS, Fit
from bench.pipeline import Pipeline
from bench.report import COMPARISON, Table, comparison
from bench.setting import Setting
from bench.tutorial import Padded, Tutorial
from flaxtext.text.tokenizers import tokenize


def epoch(setting: Setting) -> Table:
    """Run the tutorial's Python loop against the compiled epoch, each variant."""
    epochs = setting.pairs + 1  # so both sides end after as many
    table = Table(
        "One epoch",
        "All training documents in batches of 1,024, without validation. Warm: the loop's first epoch is not "
        "counted, nor flaxtext's, nor what comes before it (layout, initial parameters, compilation). In each pair "
        f"the loop goes on by an epoch, and flaxtext trains anew: the median of epochs 2 to {epochs}. Shuffled: "
        "flaxtext takes the documents in a new order in each epoch, the loop in file order as ever. Loss: the mean "
        f"of the batches of epoch {epochs}, from the same initial parameters. Both use all cores.",
        COMPARISON,
    )
    for variant in VARIANTS:
        loop = Tutorial(variant, setting.words.rows, len(setting.documents.classes), Padded.of(setting.train))
        loop.epoch()
        fit = partial(setting.fit, variant, epochs=epochs)
        sides = {"loop": timed(loop.epoch), "ordered": fit, "shuffled": partial(fit, shuffle=True)}
        runs = alternate(sides, setting.pairs)
        ordered, shuffled = ([run.steady for run in runs[name]] for name in ("ordered", "shuffled"))
        peaks = (
            child("bench.tutorial:train", folder=setting.files, variant=variant, epochs=2).peak,
            child("bench.our_models:epoch_and_predict", folder=setting.files, variant=variant, epochs=2).peak,
        )
        first: Fit = runs["ordered"][0]
        notes = (
            f"loss {loop.losses[-1]:.2f}, {first.losses[-1]:.2f}; "
            f"flaxtext's first epoch begins after {first.outset:.2g} s"
        )
        table.rows += [
            comparison(variant, "tutorial's loop", runs["loop"], ordered, peaks, notes),
            comparison(f"{variant}, shuffled", "tutorial's loop", runs["loop"], shuffled),
        ]
    return table


def token_ids(setting: Setting) -> Table:
    """Run Keras' Tokenizer and pad_sequences against vocabulary and token ids."""
    table = Table(
        "Vocabulary and token ids",
        "Vocabulary from train and test, then 50 ids for each document of both. In memory: Keras from a list of "
        "strings, flaxtext from Arrow batches. The other rows hold the same Keras figures against more work on "
        "flaxtext's side: files read and written, documents whole; and the two stages, start-up and imports included, "
        "which also list unknown words and choose the validation split. Keras uses "
        "one core. Peak memory: Keras with all texts in memory, as it needs them; flaxtext from file to file.",
        COMPARISON,
    )
    train, test = setting.documents.train.texts, setting.documents.test.texts
    strings = train.to_pylist(), test.to_pylist()
    keras = peers.KerasTokenIds(*strings)
    ids = our_token_ids.in_memory(train, test)
    same = np.array_equal(keras.train, ids[0]) and np.array_equal(keras.test, ids[1])
    del keras
    classes, source, compiled = setting.documents.classes, Path(setting.files), setting.scratch / "jax"
    stages = Pipeline(setting.scratch / "stages", source, classes, compiled)
    sides = {
        "Keras": timed(partial(peers.KerasTokenIds, *strings)),
        "memory": timed(partial(our_token_ids.in_memory, train, test)),
        "files": timed(partial(our_token_ids.in_files, setting.files)),
        "stages": stages.token_ids,
    }
    times = alternate(sides, setting.pairs)
    peaks = (
        child("bench.peers:keras_token_ids", folder=setting.files).peak,
        child("bench.our_token_ids:in_files", folder=setting.files).peak,
    )
    notes = "the same ids" if same else "**the ids differ**"
    table.rows += [
        comparison("in memory", "Keras", times["Keras"], times["memory"], notes=notes),
        comparison("Parquet to Parquet", "Keras, in memory", times["Keras"], times["files"], peaks),
        comparison("stages build_vocab, vectorize", "Keras, in memory", times["Keras"], times["stages"]),
    ]
    return table


def lime(setting: Setting) -> Table:
    """Run the lime package against flaxtext's explanations, with the same classifier."""
    text = setting.documents.test.texts[setting.row].as_py()
    label = int(setting.test.labels[setting.row])
    one = setting.documents.test.texts[setting.row : setting.row + 1]
    n_words = len(tokenize(one, setting.words.tokenizer).flatten())
    pairs = 4 * setting.pairs
    table = Table(
        "LIME",
        f"Explain one class of one test document (row {setting.row}, {n_words} words) by 10 words, from "
        "5,000 samples. The classifier is the same trained network; the lime package hands it strings, which "
        f"flaxtext tokenizes and numbers. {pairs} pairs.",
        COMPARISON,
    )
    for variant in VARIANTS:
        model = setting.fit(variant).classifier(setting.words)
        theirs = partial(peers.lime, partial(our_models.predict, model), setting.documents.classes, text, label)
        mine = partial(our_models.lime, model, text, label)
        common = {word.lower() for word in theirs()[:6]} & set(mine()[:6])
        times = alternate({"lime": timed(theirs), "flaxtext": timed(mine)}, pairs)
        notes = f"{len(common)} of the 6 weightiest words in common"
        table.rows.append(comparison(variant, "lime package", times["lime"], times["flaxtext"], notes=notes))
    return table
