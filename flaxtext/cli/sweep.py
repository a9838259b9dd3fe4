"""The command `sweep`: tries settings of a variant within a time budget."""

import itertools
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flaxtext.cli.set import edited
from flaxtext.core import signals
from flaxtext.core.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

EXPERIMENT = ["dvc", "exp", "run", "--temp", "--single-item"]
"""Without upstream stages: their inputs may not be in Git, so that a folder of its own would lack them."""

Setting = dict[str, str]
"""Key of a variant -> value, as YAML text."""


def sweep(
    variant: Annotated[str, typer.Argument(metavar="VARIANT", help="Of params.yaml.")],
    values: Annotated[
        list[str], typer.Argument(metavar="KEY=VALUE,...", help="The values to try of a key of the variant.")
    ],
    minutes: Annotated[float, typer.Option(min=0, help="The time budget.")] = 10,
) -> None:
    """Try settings of a variant, and rank them by validation accuracy; the test split stays unread.

    - `flaxtext sweep sum_20 --minutes 10 learning_rate=0.002,0.005 embed_dim=20,50`

    It trains the variant as it is, then with all combinations of these values, in an order drawn at random (random
    search; Bergstra and Bengio 2012), so that a short budget sees some of everything. Each is an experiment of DVC,
    in a folder of its own: the workspace stays as it is, also after Ctrl-C.
    """
    import dvc  # noqa: F401, whose command this runs: without it, this says what to install

    settings = [{}, *grid(variant, values)]

    if subprocess.run(["dvc", "repro", "--quiet", "vectorize"], check=False).returncode:
        raise UserError("`dvc repro vectorize` failed, so there is nothing to train on; see above")
    done: dict[str, Setting] = {}
    end = time.monotonic() + 60 * minutes
    for number, setting in enumerate(settings, 1):
        started = time.monotonic()
        try:
            with signals.raising():  # so that what DVC runs is stopped, too
                name = experiment(variant, setting, end - started)
        except TimeoutError:
            print(f"{minutes:g} minutes are over", flush=True)
            break
        except KeyboardInterrupt as stop:
            if isinstance(stop, signals.Stopped) and stop.number != signal.SIGINT:
                raise
            print("stopped", flush=True)
            break
        if name is not None:
            done[name] = setting
            took = time.monotonic() - started
            print(f"{number}/{len(settings)}  {name}  {describe_setting(setting)}  {took:.0f} s", flush=True)
    if not done:
        raise UserError("no experiment finished; raise the time budget, or see above")
    found = ranking(variant, done)
    print(f"\n{found.to_string(float_format='{:.4f}'.format)}\n")
    best = done[str(found.index[0])]
    if best:
        words = " ".join(f"variants.{variant}.{key}={value}" for key, value in best.items())
        print(f"take over the best: flaxtext set {words} && dvc repro")
    else:
        print("nothing was better than the variant as it is")


def grid(variant: str, values: list[str]) -> list[Setting]:
    """Combine values such as `embed_dim=20,50`, and shuffle. Raises `UserError` where params.yaml would refuse one."""
    from flaxtext.config.params import read_params
    from flaxtext.config.train import read_variant

    own, params = read_variant(variant), read_params()
    if own.validation_from != "train" or not params.vectorize.validation:
        raise UserError(
            "params.yaml: a sweep chooses by validation; set validation_from: train, vectorize.validation above 0"
        )
    choices: dict[str, list[str]] = {}
    for text in values:
        key, equals, given = text.partition("=")
        if not equals:
            raise UserError(f"{text!r}: expected KEY=VALUE,VALUE, such as embed_dim=20,50")
        if key == "seed":
            raise UserError("seed: the best of several is luck and no setting; leave it out")
        choices[key] = given.split(",")
        for value in choices[key]:
            edited([f"variants.{variant}.{key}={value}"])
    settings = [dict(zip(choices, combination, strict=True)) for combination in itertools.product(*choices.values())]
    random.Random(0).shuffle(settings)  # noqa: S311, no secret
    return settings


def experiment(variant: str, setting: Setting, seconds: float) -> str | None:
    """Train with a setting and return the experiment's name; None if that failed, after saying why.

    Raises `TimeoutError` after `seconds`; then, and on Ctrl-C, the training is stopped and leaves nothing.
    """
    sets = [word for key, value in setting.items() for word in ("--set-param", f"++variants.{variant}.{key}={value}")]
    process = subprocess.Popen(
        [*EXPERIMENT, *sets, f"train@{variant}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # a group of its own, so that one signal stops DVC and the stage, and Ctrl-C only us
    )
    try:
        printed, _ = process.communicate(timeout=max(seconds, 0))
    except (subprocess.TimeoutExpired, KeyboardInterrupt) as stop:
        os.killpg(process.pid, signal.SIGINT)
        process.communicate()
        if isinstance(stop, subprocess.TimeoutExpired):
            raise TimeoutError from None
        raise
    name = re.search(r"^Ran experiment\(s\): (\S+)", printed, re.MULTILINE)
    if process.returncode or name is None:
        said = re.findall(r"^error: .*", printed, re.MULTILINE | re.IGNORECASE) or [f"status {process.returncode}"]
        print(f"{describe_setting(setting)} failed: {said[0]}", file=sys.stderr)
        return None
    return name[1]


def describe_setting(setting: Setting) -> str:
    """Name a setting, on one line."""
    return " ".join(f"{key}={value}" for key, value in setting.items()) or "as it is"


def ranking(variant: str, settings: dict[str, Setting]) -> "pd.DataFrame":
    """Read the validation figures of experiments, by name, from DVC: one row each, best accuracy first."""
    import pandas as pd

    from flaxtext.config.train import read_variant

    shown = subprocess.run(["dvc", "exp", "show", "--json"], capture_output=True, text=True, check=True)
    figures: dict[str, Any] = {}
    for baseline in json.loads(shown.stdout):
        for found in baseline["experiments"] or []:
            if found["name"] in settings:  # others may be of other variants, or have failed
                metrics = found["revs"][0]["data"]["metrics"]
                figures[found["name"]] = metrics[f"data/validation/{variant}.json"]["data"]
    if any("validation_accuracy" not in own for own in figures.values()):
        raise UserError("train has too few documents for any to be held out to choose by; raise vectorize.validation")
    own = read_variant(variant)
    keys = list(dict.fromkeys(key for setting in settings.values() for key in setting))
    rows = {
        name: {
            "validation accuracy": figures[name]["validation_accuracy"],
            "validation loss": figures[name]["validation_loss"],
            **{key: setting.get(key, str(getattr(own, key))) for key in keys},
        }
        for name, setting in settings.items()
    }
    table = pd.DataFrame.from_dict(rows, orient="index")
    return table.sort_values(["validation accuracy", "validation loss"], ascending=[False, True], kind="stable")
