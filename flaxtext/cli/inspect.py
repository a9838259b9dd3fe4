"""What is known of a bundle: its network, its data, its figures, and the words nearest to a word."""

import difflib
import json
from pathlib import Path
from typing import Any

import numpy as np

from flaxtext.artifacts.bundle import Classifier
from flaxtext.core.errors import UserError
from flaxtext.model.forward import flat
from flaxtext.train.card import in_words, network_parameters, training_parameters


def describe(model: Classifier, path: Path, metrics: Path | None = None) -> dict[str, Any]:
    """Collect what is known of the bundle in the folder `path`, ready for JSON.

    The figures of the test split come from the folder `metrics`; where that is None, from the project's, if the
    bundle lies in data/models of one.
    """
    arrays = flat(model.parameters)
    config = model.config
    return {
        "name": config.get("variant", path.name),
        "classes": model.classes,
        **network_parameters(config),
        "max_len": model.max_len,
        "words": len(model.vocabulary),
        "parameters": model.size,
        "arrays": {name: list(array.shape) for name, array in arrays.items()},
        "bytes": {file.name: file.stat().st_size for file in sorted(path.iterdir()) if file.is_file()},
        "data": config.get("data"),
        "training": training_parameters(config),
        "last_epoch": config.get("last_epoch"),
        "test": test_figures(model, path, metrics),
        "versions": config.get("versions"),
    }


def test_figures(model: Classifier, path: Path, metrics: Path | None) -> dict[str, Any] | None:
    """Read the test split's figures of this model from metrics/VARIANT.json, and intervals from comparison.json.

    None where there are none, or where they are of another training: of other classes, size or validation accuracy.
    """
    folder = metrics or path.resolve().parent.parent.parent / "metrics"
    name = str(model.config.get("variant", path.name))
    figures = _read(folder, name)
    if figures is None:
        if metrics is not None:
            raise UserError(f"{folder}: no {name}.json that can be read; evaluate writes it")
        return None
    try:
        test = figures["test"]
        last = (model.config.get("last_epoch") or {}).get("validation_accuracy")
        validation = figures.get("validation", {}).get("accuracy", last)
        if (figures["parameters"], list(test["per_class"])) != (model.size, model.classes):
            return None
        if model.config.get("validation_from") == "train" and last is not None and abs(validation - last) > 1e-4:
            return None
        found = {key: test[key] for key in ("accuracy", "macro_f1", "loss", "ece", "per_class")}
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
        value = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def nearest(model: Classifier, word: str, count: int) -> list[tuple[str, float]]:
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
    if "embedding" not in model.parameters:
        raise UserError("a linear model has no embeddings, and so no nearest words")
    table = np.asarray(model.parameters["embedding"]["embedding"])[1 : model.vocabulary.rows]  # less padding
    lengths = np.maximum(np.linalg.norm(table, axis=1), np.finfo(np.float32).tiny)
    cosines = table @ table[index - 1] / (lengths * lengths[index - 1])
    cosines[index - 1] = -np.inf
    order = np.argsort(-cosines, kind="stable")[: min(count, len(table) - 1)]
    return [(model.vocabulary.words[int(i)].as_py(), round(float(cosines[i]), 6)) for i in order]


def report(facts: dict[str, Any]) -> str:
    """Lay the facts of `describe` out for reading."""
    data, last, test = facts["data"], facts["last_epoch"], facts["test"]
    rows = [
        ("model", in_words(facts)),
        ("classes", _listed(facts["classes"])),
        ("words", f"{facts['words']:,}; the first {facts['max_len']} known ones of a document count"),
        (
            "parameters",
            f"{facts['parameters']:,}, {sum(facts['bytes'].values()) / 1e6:.1f} MB in all, checksums verified",
        ),
    ]
    if data:
        watched = f", {data['validation_documents']:,} watched" if data["validation_documents"] else ""
        rows.append(("trained on", f"{data['source']}: {data['documents']:,} documents{watched}"))
    rows.append(("training", ", ".join(f"{name} {value}" for name, value in facts["training"].items())))
    if last and last["validation_accuracy"] is not None:
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
    wide = max(len(name) for name in test["per_class"])
    for name, scores in list(test["per_class"].items())[:20]:
        figures = ", ".join(f"{key} {scores[key]:.3f}" for key in ("precision", "recall", "f1"))
        rows.append(("", f"{name:<{wide}}  {figures}, {scores['support']:,} documents"))
    return rows


def _listed(names: list[str]) -> str:
    return ", ".join(names[:20]) + (f", ... ({len(names):,} in all)" if len(names) > 20 else "")
