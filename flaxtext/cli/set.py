"""The command `set`: sets values of params.yaml, and keeps its comments."""

import io
from pathlib import Path
from typing import Annotated, Any

import typer

from flaxtext.core.errors import UserError
from flaxtext.core.files import open_output


def set_values(
    assignments: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", help="What to set, such as data.source=ag_news.")
    ] = None,
) -> None:
    """Set values of params.yaml, all or none; its comments stay.

    - `flaxtext set data.source=ag_news train.epochs=5`
    - `flaxtext set 'variants.*.patience=null'`: for each variant that sets this key
    """
    edit(assignments or [])


def edit(assignments: list[str], path: str | Path = "params.yaml") -> None:
    """Set values such as `data.source=ag_news` in params.yaml, keeping its comments; all or none."""
    text = edited(assignments, path)
    if text != Path(path).read_text(encoding="utf-8"):
        with open_output(path) as file:
            file.write(text.encode())


def edited(assignments: list[str], path: str | Path = "params.yaml") -> str:
    """Return the text of params.yaml with values set, as `edit` does. Raises `UserError` where one is refused."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    from flaxtext.config import short
    from flaxtext.config.params import check_params
    from flaxtext.config.parsing import parse_file, parse_text

    yaml = YAML()
    yaml.width = 4096
    yaml.preserve_quotes = True
    yaml.representer.add_representer(
        type(None), lambda dumper, _: dumper.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    values = parse_file(Path(path), yaml)
    for assignment in (each for given in assignments for each in _for_each_variant(given, values)):
        key, equals, text = assignment.partition("=")
        *parents, last = key.split(".")
        place = values
        for parent in parents:
            place = place.get(parent) if isinstance(place, dict) else None
        if not equals or not isinstance(place, dict):
            said = f"expected KEY=VALUE with a key of {path}, such as data.source=ag_news"
            raise UserError(f"{short(assignment)}: {said}")
        try:
            value = parse_text(text, yaml)  # round-trip: a list stays on its line
        except (YAMLError, ValueError):
            raise UserError(f"{short(assignment)}: the value is not YAML; put it in quotes") from None
        if last not in place or place[last] != value:
            place[last] = value
    check_params(values, str(path))
    output = io.StringIO()
    try:
        yaml.dump(values, output)
        kept = parse_text(output.getvalue(), YAML(typ="safe")) == values
    except (YAMLError, ValueError, TypeError, AttributeError, AssertionError, NotImplementedError):
        kept = False
    if not kept:  # there is YAML that the library reads and cannot write with its comments
        raise UserError(f"{path}: cannot be written anew; edit it by hand")
    return output.getvalue()


def _for_each_variant(assignment: str, values: Any) -> list[str]:
    """Make of `variants.*.patience=null` an assignment for each variant that sets a patience of its own."""
    start, star, rest = assignment.partition("variants.*.")
    variants = values.get("variants") if isinstance(values, dict) else None
    if start or not star or not isinstance(variants, dict):
        return [assignment]
    key = rest.partition("=")[0]
    return [f"variants.{name}.{rest}" for name, own in variants.items() if isinstance(own, dict) and key in own]
