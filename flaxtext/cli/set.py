"""Sets values of params.yaml from the command line, and keeps its comments.

python -m flaxtext.cli.set data.source=ag_news 'variants.*.patience=null'

`*` stands for each variant that sets the key.
"""

import io
import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from flaxtext.config import params
from flaxtext.core.errors import UserError, run
from flaxtext.core.files import write_text


def edit(assignments: list[str], path: str | Path = "params.yaml") -> None:
    """Set values such as `data.source=ag_news` in params.yaml, keeping its comments; all or none."""
    text = edited(assignments, path)
    if text != Path(path).read_text(encoding="utf-8"):
        write_text(path, text)


def edited(assignments: list[str], path: str | Path = "params.yaml") -> str:
    """Return the text of params.yaml with values set, as `edit` does. Raises `UserError` where one is refused."""
    yaml = YAML()
    yaml.width = 4096
    yaml.preserve_quotes = True
    yaml.representer.add_representer(
        type(None), lambda dumper, _: dumper.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    values = params.parse(Path(path), yaml)
    for assignment in (each for given in assignments for each in _for_each_variant(given, values)):
        key, equals, text = assignment.partition("=")
        *parents, last = key.split(".")
        place = values
        for parent in parents:
            place = place.get(parent) if isinstance(place, dict) else None
        if not equals or not isinstance(place, dict):
            raise UserError(f"{assignment!r}: expected KEY=VALUE with a key of {path}, such as data.source=ag_news")
        try:
            value = yaml.load(text)  # round-trip: a list stays on its line
        except YAMLError:
            raise UserError(f"{assignment!r}: the value is not YAML; put it in quotes") from None
        if last not in place or place[last] != value:
            place[last] = value
    params.check(values, str(path))
    output = io.StringIO()
    yaml.dump(values, output)
    return output.getvalue()


def _for_each_variant(assignment: str, values: Any) -> list[str]:
    """Make of `variants.*.patience=null` an assignment for each variant that sets a patience of its own."""
    start, star, rest = assignment.partition("variants.*.")
    variants = values.get("variants") if isinstance(values, dict) else None
    if start or not star or not isinstance(variants, dict):
        return [assignment]
    key = rest.partition("=")[0]
    return [f"variants.{name}.{rest}" for name, own in variants.items() if isinstance(own, dict) and key in own]


if __name__ == "__main__":
    run(lambda: edit(sys.argv[1:]))
