"""The report's tables: what stands beside what, and where; the template writes them."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from flaxtext.artifacts.importance import Importance
from flaxtext.config.params import SECTIONS, Params

IMPORTANT_WORDS = 12
"""Words that are named for a class."""
IMPORTANT_CLASSES = 20
"""Classes whose words are named: where they are more, those that words move most."""
MANY = 40
"""A table of more rows than this has the first and the last of them alone."""


class PageTable(NamedTuple):
    """What a table of the page shows; without `columns` it has no head."""

    columns: list[str]
    rows: list[list[Any]]


@dataclass(frozen=True)
class Axis:
    """The range on which the results table draws intervals."""

    low: float
    high: float

    @classmethod
    def of(cls, standings: Mapping[str, Any]) -> "Axis":
        """Span all intervals, to the next hundredth."""
        low = min(standing["accuracy"]["low"] for standing in standings.values())
        high = max(standing["accuracy"]["high"] for standing in standings.values())
        return cls(np.floor(100 * low) / 100, max(np.ceil(100 * high) / 100, np.floor(100 * low) / 100 + 0.01))

    def place(self, value: float) -> str:
        """Where a value lies, as a CSS percentage."""
        return f"{100 * (value - self.low) / (self.high - self.low):.2f}%"


def side_by_side(explanations: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Put the variants' LIME weights for the true class beside each other, documents that most explain first.

    `explanations` holds the content of data/explanations/VARIANT.json by variant.
    """
    documents: dict[int, list[tuple[str, dict[str, Any]]]] = {}
    for variant, entries in explanations.items():
        for entry in entries:
            documents.setdefault(entry["row"], []).append((variant, entry))
    laid_out = []
    for row, entries in sorted(documents.items(), key=lambda item: -len(item[1])):
        true = entries[0][1]["true"]["class"]
        models = [next(e for e in entry["explanations"] if e["class"] == true) for _, entry in entries]
        weights = [{word["word"]: word["weight"] for word in model["words"]} for model in models]
        largest = {word: max(abs(own.get(word, 0)) for own in weights) for own in weights for word in own}
        laid_out.append(
            {
                "row": row,
                "text": entries[0][1]["text"],
                "true": true,
                "scale": max(largest.values(), default=0) or 1,
                "sides": [
                    {
                        "variant": variant,
                        "predicted": entry["predicted"]["class"],
                        "probability": entry["true"]["probability"],
                        "score": model["score"],
                    }
                    for (variant, entry), model in zip(entries, models, strict=True)
                ],
                "words": [
                    {"word": word, "weights": [own.get(word) for own in weights]}
                    for word in sorted(largest, key=lambda word: -largest[word])
                ],
            }
        )
    return laid_out


def important_words(importance: Mapping[str, Importance], classes: list[str]) -> list[dict[str, Any]]:
    """Name the words that add most to each class in any variant, with what they add in each, in points.

    Of many classes, the 20 to which any word adds most.
    """
    found = []
    most = np.zeros(len(classes))
    for table in importance.values():
        np.maximum.at(most, table.classes.reshape(-1), table.weights.reshape(-1))
    for number in np.sort(np.argsort(-most, kind="stable")[:IMPORTANT_CLASSES]).tolist():
        name = classes[number]
        own = {
            variant: {word: 100 * weight for word, weight in table.of_class(number).items()}
            for variant, table in importance.items()
        }
        largest: dict[str, float] = {}
        for weights in own.values():
            for word in sorted(weights, key=lambda word: -weights[word])[:IMPORTANT_WORDS]:
                largest[word] = max(largest.get(word, 0), weights[word])
        shown = sorted(largest, key=lambda word: (-largest[word], word))[:IMPORTANT_WORDS]
        rows = [{"word": word, "weights": [weights.get(word) for weights in own.values()]} for word in shown]
        found.append({"class": name, "words": rows, "scale": max(largest.values(), default=0) or 1})
    return found


def lay_out_figures(value: Mapping[str, Any], title: str = "") -> list[tuple[str, PageTable]]:
    """Lay out nested figures, whatever they are, as titled tables.

    Entries that share keys, such as two splits, stand beside each other, the longer side going down the page.
    """
    plain = {key: item for key, item in value.items() if not isinstance(item, dict | list)}
    nested = {
        key: item if isinstance(item, dict) else {str(number): part for number, part in enumerate(item, 1)}
        for key, item in value.items()
        if isinstance(item, dict | list)
    }
    heading = title[:1].upper() + title[1:] or "Summary"
    tables = [(heading, PageTable([], _ends([[_title(key), item] for key, item in plain.items()])))] if plain else []
    if len(nested) > 1 and set.intersection(*map(set, nested.values())):
        keys = list(dict.fromkeys(key for entry in nested.values() for key in entry))
        deeper = [key for key in keys if any(isinstance(entry.get(key), dict | list) for entry in nested.values())]
        names, columns = list(nested), [key for key in keys if key not in deeper]
        rows = [[entry.get(key) for key in columns] for entry in nested.values()]
        if len(columns) > len(names):
            names, columns, rows = columns, names, [list(row) for row in zip(*rows, strict=True)]
        if rows:
            rows = _ends([[_title(name), *row] for name, row in zip(names, rows, strict=True)])
            tables.append((heading, PageTable(["", *map(_title, columns)], rows)))
        groups = {key: {name: entry[key] for name, entry in nested.items() if key in entry} for key in deeper}
    else:
        groups = nested
    for key, entry in groups.items():
        tables += lay_out_figures(entry, f"{title}: {_title(key)}" if title else _title(key))
    return tables


def list_parameters(values: Params) -> list[tuple[str, str]]:
    """Flatten the parameters: `train.epochs` and its value, in YAML's spelling; of sources, the one in use.

    Of a variant, what differs from `train`.
    """
    plain = {
        section: {name: own.model_dump(mode="json") for name, own in value.items()}
        if isinstance(value, dict)
        else value.model_dump(mode="json")
        for section in SECTIONS
        for value in [getattr(values, section)]
    }
    plain["sources"] = {values.data.source: plain["sources"][values.data.source]}
    for name, own in plain["variants"].items():
        plain["variants"][name] = {key: value for key, value in own.items() if plain["train"].get(key, ...) != value}
    return list(_flatten("", plain))


def largest_first(checks: Mapping[str, Any]) -> dict[str, Any]:
    """Put the classes of each split of metrics/data.json in the order of their training documents, the most first."""
    sizes = checks.get("train", {}).get("classes", {})
    order = sorted(sizes, key=lambda name: -sizes[name])
    return {
        split: {**figures, "classes": {name: figures["classes"][name] for name in order}}
        if isinstance(figures, dict) and set(order) == set(figures.get("classes", ()))
        else figures
        for split, figures in checks.items()
    }


def _flatten(prefix: str, value: Any) -> Iterable[tuple[str, str]]:
    if isinstance(value, dict) and value:
        items = [(f"{prefix}.{key}" if prefix else str(key), item) for key, item in value.items()]
        for key, item in items if len(items) <= MANY else items[: MANY // 2]:
            yield from _flatten(key, item)
        if len(items) > MANY:
            yield prefix, f"… {len(items) - MANY // 2:,} more"
    elif isinstance(value, list) and len(value) > MANY:
        shown = ", ".join(json.dumps(item, ensure_ascii=False) for item in value[: MANY // 2])
        yield prefix, f"[{shown}, … {len(value) - MANY // 2:,} more]"
    else:
        yield prefix, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _ends(rows: list[list[Any]]) -> list[list[Any]]:
    """Cut the middle out of a long table."""
    if len(rows) <= MANY:
        return rows
    half = MANY // 2
    return [*rows[:half], [f"… {len(rows) - MANY:,} more", *[None] * (len(rows[0]) - 1)], *rows[-half:]]


def _title(key: Any) -> str:
    return str(key).replace("_", " ")
