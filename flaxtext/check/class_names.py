"""Classes that look like one, as their names differ in case, spacing or form alone; and how to merge them."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence

from flaxtext.core.printable import JOINERS

PLAIN = re.compile("[A-Za-z][A-Za-z0-9_-]*(?: [A-Za-z0-9_-]+)*")
"""What YAML takes for text without quotes, except for the words in `RESERVED`."""
RESERVED = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}
SIMPLE_KEY = 1000
"""Characters that a key may have, about, if no question mark stands before it."""


def similar_classes(names: Sequence[str]) -> list[list[int]]:
    """Group the classes whose names are the same except for case, white space and form (NFKC), as indices."""
    groups = defaultdict(list)
    for code, name in enumerate(names):
        groups[_folded(name)].append(code)
    return [group for group in groups.values() if len(group) > 1]


def _folded(name: str) -> str:
    for _ in range(2):  # a letter's other case may decompose further
        name = unicodedata.normalize("NFKC", name).casefold()
    return re.sub(rf"[\s{JOINERS}]", "", name)


def merging_line(class_of: Mapping[str, str], main: Mapping[str, str]) -> str:
    """Write the line of params.yaml that merges classes.

    Args:
        class_of: label in the source's files -> name of its class.
        main: name of a class -> name of the class that it is to be part of; those that are not there stay.
    """
    entries = []
    for label, name in class_of.items():
        key = f"? {_quoted(label)} " if len(label) > SIMPLE_KEY else _quoted(label)
        entries.append(f"{key}: {_quoted(main.get(name, name))}")
    return f"classes: {{{', '.join(entries)}}}"


def _quoted(text: str) -> str:
    """Write a text in YAML, in quotes where it needs them."""
    if PLAIN.fullmatch(text) and text.lower() not in RESERVED:
        return text
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
