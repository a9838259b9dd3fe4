"""What all sections of params.yaml share: how they are read, checked, and what is said of a wrong key or value."""

import difflib
import re
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from flaxtext.config.parsing import parse_file
from flaxtext.core.errors import UserError

PARAMS = "params.yaml"

Split = Literal["train", "test"]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Limit = Annotated[float, Field(ge=0, le=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
MOST = 2**63 - 1
"""The largest whole number of a setting that has no limit of its own: what files of results can hold."""
Amount = Annotated[int, Field(ge=0, le=MOST)]
Count = Annotated[int, Field(ge=1, le=MOST)]

Model = TypeVar("Model", bound=BaseModel)


class Section(BaseModel):
    """A section of params.yaml: its values keep their YAML type, and a key it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    renamed: ClassVar[dict[str, str]] = {}
    """Keys of earlier versions, and what is to be set today."""

    @classmethod
    def read(cls, name: str, path: str | Path = PARAMS) -> Self:
        """Read and check the section `name` of params.yaml alone. Raises `UserError`, a line for each wrong key."""
        values = read_yaml(path)
        if name not in values:
            raise UserError(f"{path}: {name}: missing")
        return checked(cls, values[name], str(path), (name,))


def read_yaml(path: str | Path = PARAMS) -> dict[str, Any]:
    """Parse params.yaml. Raises `UserError` where it is not there, or holds no sections."""
    values = parse_file(Path(path))
    if not isinstance(values, dict):
        raise UserError(f"{path}: expected sections such as data and train, found {short(values)}")
    return values


def variant_names(path: str | Path = PARAMS) -> list[str]:
    """Name the variants of params.yaml, in its order. Raises `UserError` where there are none."""
    variants = read_yaml(path).get("variants")
    if not isinstance(variants, dict) or not variants:
        raise UserError(f"{path}: variants: expected at least one")
    return [str(name) for name in variants]


def checked(model: type[Model], values: Any, path: str, at: tuple[str, ...] = ()) -> Model:
    """Check `values`, which stand at the keys `at` of the file `path`. Raises `UserError`, a line for each problem."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problems = filter(_is_nearest, error.errors())
        raise UserError(*(_message(problem, model, path, at) for problem in problems)) from None


def short(value: Any) -> str:
    """Quote a value for a message, on one line and not too long."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no number of thousands of digits, nor what holds one
        return "a number of thousands of digits"
    return text if len(text) <= 60 else text[:57] + "..."


def shown(key: Any) -> str:
    """Write a key for a message: as it is, or quoted where it is not of a few printable characters."""
    try:
        text = str(key)
    except ValueError:  # as in `short`
        return short(key)
    return text if text.isprintable() and len(text) <= 60 else short(key)


def listed(keys: Iterable[Any]) -> str:
    """List keys for a message, the first 20."""
    some = list(islice(keys, 21))
    return ", ".join(map(shown, some[:20])) + (", ..." if len(some) > 20 else "")


ALTERNATIVE = re.compile(r"(constrained-)?(int|float)|literal\[.*\]")
"""What Pydantic adds to the place of a value that may be a number or a word: which of them it was taken for."""


def _alternative(problem: Any) -> str | None:
    """Which kind a value was taken for, if there are several for it."""
    last = problem["loc"][-1] if problem["loc"] else ""
    return last if isinstance(last, str) and ALTERNATIVE.fullmatch(last) else None


def _is_nearest(problem: Any) -> bool:
    """Whether a problem is worth telling: of a text, that it is not the word, and of all else that it is no number."""
    kind = _alternative(problem)
    return kind is None or kind.startswith("literal") == isinstance(problem["input"], str)


def _message(problem: Any, model: type[BaseModel], path: str, at: tuple[str, ...]) -> str:
    """Say what is wrong with a value that `model` refused."""
    alternative = _alternative(problem)
    location = list(problem["loc"][:-1] if alternative else problem["loc"])
    where = f"{path}: {'.'.join(map(shown, [*at, *location]))}" if (at or location) else path
    kind, given = problem["type"], problem["input"]
    if kind in ("extra_forbidden", "invalid_key"):  # invalid: no text
        return f"{where}: unknown key; {_hint(model, location)}"
    if kind == "missing":
        return f"{where}: missing"
    message = problem["msg"].removeprefix("Value error, ")
    if kind == "value_error":
        return f"{where}: {message}"
    expected = "expected a number or" if alternative and kind == "literal_error" else "expected"
    message = PLAIN.get(kind, message.replace("Input should be", expected, 1))
    return f"{where}: {message}, got {short(given)}"


PLAIN = {
    "model_type": "expected keys and values",
    "dict_type": "expected keys and values",
    "model_attributes_type": "expected keys and values",
    "too_short": "expected at least one",
    "int_type": "expected a whole number",
    "float_type": "expected a number",
    "bool_type": "expected true or false",
    "string_type": "expected text",
    "list_type": "expected a list",
    "finite_number": "expected a finite number",
}
"""What to say of a value of the wrong kind, in words of YAML rather than of Python."""


def _hint(model: type[BaseModel], location: list[Any]) -> str:
    """Say what may have been meant by a key that the model at `location`, less its last part, does not know."""
    *parents, key = map(str, location)
    for parent in parents:
        field = model.model_fields.get(parent)
        inner = field.annotation if field else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return "remove it"
        model = inner
    renamed = getattr(model, "renamed", {})
    if key in renamed:
        return f"it is now {renamed[key]}"
    known = list(model.model_fields)
    close = difflib.get_close_matches(key, known, n=1)
    return f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}"
