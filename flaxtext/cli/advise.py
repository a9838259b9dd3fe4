"""The command `advise`: which variant to take for this corpus, and why."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from flaxtext.cli.options import AsJson

if TYPE_CHECKING:
    from flaxtext.artifacts.predictions import Predictions
    from flaxtext.cli.advice import Advice, Candidate

PREDICTIONS = Path("data/predictions")
METRICS = Path("metrics")


def advise(as_json: AsJson = False) -> None:
    """Say which variant to take for this corpus, and why, in two sentences; `make run` ends with it.

    It goes by the validation documents alone, never by test: of the variants within one standard error of the best, it
    names the simplest.
    """
    from dataclasses import asdict

    from flaxtext.cli.terminal import json_line, plain_lines

    advice = advice_of(PREDICTIONS, METRICS)
    if not as_json:
        print(plain_lines("\n".join([advice.says, *advice.hints])))
        return
    judged = {name: {**asdict(own), "is_as_good": own.is_as_good} for name, own in advice.variants.items()}
    majority = advice.majority and advice.majority.figures
    print(json_line({**asdict(advice), "majority": majority, "variants": judged}))


def advice_of(predictions: Path, metrics: Path) -> "Advice":
    """Choose among the variants of params.yaml that have been trained.

    Reads what they predicted of the validation split from `predictions`/VARIANT.parquet, their size from
    `metrics`/VARIANT.json and that of train from data.json beside it.

    Raises:
        UserError: nothing has been trained, or the variants were judged on different documents.
    """
    from flaxtext.artifacts.metrics import read_json
    from flaxtext.artifacts.predictions import largest_class, read_predictions
    from flaxtext.cli.advice import NO_VALIDATION, choose
    from flaxtext.config.params import read_params
    from flaxtext.config.train import LinearVariant
    from flaxtext.core.errors import UserError

    params = read_params()
    paths = {name: predictions / f"{name}.parquet" for name in params.variants}
    trained = {name: path for name, path in paths.items() if path.exists()}
    if not trained:
        raise UserError(f"{predictions}: no variant of params.yaml has been trained; run `make run` or `dvc repro`")
    if missing := [name for name in paths if name not in trained]:
        print(f"note: not trained yet: {', '.join(missing)}", file=sys.stderr)
    found = {name: read_predictions(path, "validation") for name, path in trained.items()}
    first = next(iter(found))
    for name, own in found.items():
        if not own.is_of_the_same_split(found[first]):
            raise UserError(f"{trained[name]}: not of the same validation split as {first}; run `dvc repro`")
    labels, classes = found[first].labels, found[first].classes
    train_documents = read_json(metrics / "data.json")["train"]["documents"] - len(labels)
    largest = largest_class(trained[first])
    if largest is None or not len(labels):
        return NO_VALIDATION
    candidates = {
        name: _candidate(
            own,
            parameters=read_json(metrics / f"{name}.json")["parameters"],
            linear=isinstance(params.variants[name], LinearVariant),
        )
        for name, own in found.items()
    }
    return choose(
        candidates,
        largest,
        labels == classes.index(largest),
        train_documents=train_documents,
        has_vectors=params.build_vocab.vectors is not None,
    )


def _candidate(own: "Predictions", *, parameters: int, linear: bool) -> "Candidate":
    """Take a variant of several seeds for what any of them gives, unless it is an ensemble."""
    import numpy as np

    from flaxtext.cli.advice import Candidate

    right = (own.by_seed == own.labels).astype(float)
    if len(right) == 1 or not np.array_equal(own.by_seed[0], own.predicted):
        return Candidate((own.predicted == own.labels).astype(float), 0.0, parameters, linear)
    between = float(right.mean(axis=1).var(ddof=1)) / len(right)
    return Candidate(right.mean(axis=0), between, parameters, linear)
