"""What is known of a bundle: its network, its data, its figures, and the words nearest to a word."""

import difflib
from pathlib import Path
from typing import Any

import numpy as np

from flaxtext.artifacts.metrics import read_json
from flaxtext.core.errors import UserError
from flaxtext.model.architecture import ARCHITECTURE
from flaxtext.model.classifier import Classifier


def describe_model(model: Classifier, path: Path, metrics: Path | None = None) -> dict[str, Any]:
    """Collect what is known of the bundle in the folder `path`, ready for JSON.

    The figures of the test split come from the folder `metrics`; where that is None, from the project's, if the
    bundle lies in data/models of one.
    """
    info, architecture = model.info, model.architecture
    return {
        "name": info.variant or path.name,
        "description": model.description,
        "classes": model.classes,
        "model": info.kind,
        **{name: getattr(architecture, name) for name in ARCHITECTURE},
        "ngram_rows": len(model.features.ngrams),
        "character_rows": len(model.features.characters),
        "tokenizer": model.vocabulary.tokenizer,
        "reads": model.reads,
        "seeds": info.seeds,
        "ensemble": info.ensemble,
        "words": len(model.vocabulary),
        "parameters": model.size,
        "arrays": {name: list(shape) for name, shape in architecture.shapes.items()},
        "bytes": {file.name: file.stat().st_size for file in sorted(path.iterdir()) if file.is_file()},
        "data": info.data,
        "training": info.training,
        "last_epoch": info.last_epoch,
        "test": test_figures(model, path, metrics),
        "versions": info.versions,
    }


def test_figures(model: Classifier, path: Path, metrics: Path | None) -> dict[str, Any] | None:
    """Read the test split's figures of this model from metrics/VARIANT.json, and intervals from comparison.json.

    None where there are none, or where they are of another training: of other classes, size or validation accuracy.
    """
    folder = metrics or path.resolve().parent.parent.parent / "metrics"
    name = model.info.variant or path.name
    figures = _read(folder, name)
    if figures is None:
        if metrics is not None:
            raise UserError(f"{folder}: no {name}.json that can be read; evaluate writes it")
        return None
    try:
        test = figures["test"]
        last = model.info.last_epoch.get("validation_accuracy")
        validation = figures.get("validation", {}).get("accuracy", last)
        told = "per_class" if "per_class" in test else "worst_classes"  # where classes are many
        names = list(test[told])
        are_ours = names == model.classes if told == "per_class" else set(names) <= set(model.classes)
        if figures["parameters"] != model.size or not are_ours:
            return None
        if model.info.training.get("validation_from") == "train" and last is not None and abs(validation - last) > 1e-4:
            return None
        found = {key: test[key] for key in ("accuracy", "macro_f1", "loss", "ece", told)}
        compared = _read(folder, "comparison") or {}
        standing = compared.get("variants", {}).get(name)
        if standing and abs(standing["accuracy"]["value"] - found["accuracy"]) < 1e-5:
            found["confidence"] = compared["confidence"]
            found["intervals"] = {
                key: [standing[key]["low"], standing[key]["high"]] for key in ("accuracy", "macro_f1")
            }
    except (KeyError, TypeError, AttributeError):
        return None
    return found


def _read(folder: Path, name: str) -> dict[str, Any] | None:
    if Path(name).name != name:  # a hostile name does not lead elsewhere
        return None
    try:
        value = read_json(folder / f"{name}.json")
    except (OSError, UserError):
        return None
    return value if isinstance(value, dict) else None


def nearest_words(model: Classifier, word: str, count: int) -> list[tuple[str, float]]:
    """Return the `count` words whose embeddings have the largest cosine similarity to a word's, and the similarities.

    Raises `UserError` for what is not one word, or one that the model does not know.
    """
    tokens = model.tokenize([word])[0]
    if len(tokens) != 1:
        raise UserError(f"{word!r} is {len(tokens)} words; give one")
    index = int(model.token_ids(tokens)[0])
    if not index:
        close = difflib.get_close_matches(tokens[0], model.vocabulary.words.to_pylist(), n=3)
        hint = f"; did you mean {' or '.join(close)}?" if close else ""
        raise UserError(f"the model does not know the word {tokens[0]!r}{hint}")
    if not model.architecture.output:
        raise UserError(
            "the model gives each word a weight for each class, and no embedding, so no words are near it; "
            "flaxtext explain shows what words add to the class of a text"
        )
    table = model.members[0]["embedding"]["embedding"][1 : model.vocabulary.rows]  # less padding
    lengths = np.maximum(np.linalg.norm(table, axis=1), np.finfo(np.float32).tiny)
    cosines = table @ table[index - 1] / (lengths * lengths[index - 1])
    cosines[index - 1] = -np.inf
    order = np.argsort(-cosines, kind="stable")[: min(count, len(table) - 1)]
    return [(model.vocabulary.words[int(i)].as_py(), round(float(cosines[i]), 6)) for i in order]


def readable_facts(facts: dict[str, Any]) -> str:
    """Lay the facts of `describe_model` out for reading."""
    data, last, test = facts["data"], facts["last_epoch"], facts["test"]
    rows = [
        ("model", facts["description"]),
        ("classes", _listed(facts["classes"])),
        ("words", _words(facts)),
        (
            "parameters",
            f"{facts['parameters']:,}, {sum(facts['bytes'].values()) / 1e6:.1f} MB in all, checksums verified",
        ),
    ]
    if data:
        watched = f", {data['validation_documents']:,} watched" if data["validation_documents"] else ""
        rows.append(("trained on", f"{data['source']}: {data['documents']:,} documents{watched}"))
    if facts["training"]:
        rows.append(("training", ", ".join(f"{name} {value}" for name, value in facts["training"].items())))
    if last.get("validation_accuracy") is not None:
        rows.append(("validation", f"accuracy {last['validation_accuracy']:.3f}, after epoch {last['epoch']}"))
    rows += _test_rows(test)
    if facts["versions"]:
        rows.append(("made with", ", ".join(f"{name} {version}" for name, version in facts["versions"].items())))
    return "\n".join([facts["name"], *(f"  {name:<11} {value}" for name, value in rows)])


def _test_rows(test: dict[str, Any] | None) -> list[tuple[str, str]]:
    if test is None:
        return [
            ("test", "no figures of this model found; `dvc repro` makes them, --metrics FOLDER says where they are")
        ]

    def figure(key: str) -> str:
        interval = test.get("intervals", {}).get(key)
        return f"{test[key]:.3f}" + (f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval else "")

    sure = f"; in brackets, {test['confidence']:.0%} intervals" if "intervals" in test else ""
    rows = [
        ("test", f"accuracy {figure('accuracy')}, macro F1 {figure('macro_f1')}{sure}"),
        ("", f"loss {test['loss']:.3f}, calibration error {test['ece']:.3f}"),
    ]
    told = test.get("per_class") or test["worst_classes"]
    shown = sorted(told, key=lambda name: told[name]["f1"])[:20] if len(told) > 20 else list(told)
    if "worst_classes" in test or len(told) > len(shown):
        rows.append(("", f"the {len(shown)} classes with the lowest F1:"))
    wide = max((len(name) for name in shown), default=0)
    for name in shown:
        scores = told[name]
        figures = ", ".join(f"{key} {scores[key]:.3f}" for key in ("precision", "recall", "f1"))
        rows.append(("", f"{name:<{wide}}  {figures}, {scores['support']:,} documents"))
    return rows


def _words(facts: dict[str, Any]) -> str:
    """Say how many words and n-grams the model knows, and what it reads of a document."""
    known = f"{facts['words']:,}"
    for key, kind in (("ngram_rows", "words"), ("character_rows", "characters")):
        known += f", {facts[key]:,} n-grams of {kind}" if facts[key] else ""
    return f"{known}; {facts['reads']}"


def _listed(names: list[str]) -> str:
    return ", ".join(names[:20]) + (f", ... ({len(names):,} in all)" if len(names) > 20 else "")
