r"""What each character is to the tokenizer `unicode`: writes flaxtext/text/word_classes.py from Unicode's properties.

    python -m tools.word_classes            write the module
    python -m tools.word_classes --check    end with 1 if it differs

Node.js tells the properties, for Python's `unicodedata` knows neither scripts nor emoji. The module is committed, so
that words depend on the version of neither.
"""

import argparse
import json
import subprocess
import sys
from itertools import groupby
from pathlib import Path

import numpy as np

MODULE = Path(__file__).resolve().parents[1] / "flaxtext" / "text" / "word_classes.py"

SPACELESS = (
    *("Han", "Hiragana", "Katakana", "Thai", "Lao", "Khmer", "Myanmar"),
    *("Tai_Le", "New_Tai_Lue", "Tai_Tham", "Tai_Viet", "Ahom"),
)
"""Scripts that put no spaces between words: Han, kana, and those of UAX 14's class SA."""
SHARED = ("scx=Han", "scx=Hiragana", "scx=Katakana")
"""Whose letters may be of no script of their own, such as the prolonged sound mark of kana."""
PROPERTIES = ("Ideographic", "Default_Ignorable_Code_Point", "Emoji", "Emoji_Presentation", "Extended_Pictographic")
CATEGORIES = (
    *("Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po"),
    *("Sm", "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf", "Co", "Cs", "Cn"),
)

READ = r"""
const test = (name) => new RegExp(`^\\p{${name}}$`, "u");
const properties = NAMES.map((name) => [name, test(name)]), categories = CATEGORIES.map((name) => [name, test(name)]);
const runs = [];
for (let code = 0, last; code < 0x110000; code++) {
  const text = String.fromCodePoint(code), of = ([, pattern]) => pattern.test(text);
  const found = [categories.find(of)[0], ...properties.filter(of).map(([name]) => name)].join(" ");
  if (found !== last) runs.push([code, last = found]);
}
// What NFC changes or joins to what is before it, and what moves among marks.
const composing = new Set(), moving = new Set();
const moves = (first, second) => (first + second).normalize("NFD") !== first.normalize("NFD") + second.normalize("NFD");
for (let code = 0; code < 0x110000; code++) {
  const text = String.fromCodePoint(code), [first, ...rest] = text.normalize("NFD");
  if (text.normalize("NFC") !== text) composing.add(code);
  for (const part of rest) composing.add(part.codePointAt(0));
  if (first === text && (moves(text, "\u0334") || moves("\u0345", text))) moving.add(code);
}
process.stdout.write(JSON.stringify({
  version: process.versions.unicode, runs, composing: [...composing], moving: [...moving],
}));
"""

SHOWN_AS_TEXT = (range(0x2300, 0x2400), range(0x2600, 0x27C0), range(0x1F000, 0x1FB00))
"""Blocks whose emoji are emoji also where Unicode would show them as text: clocks, weather, hearts, hands, faces.

Elsewhere they are arrows, squares, and signs such as that of copyright: symbols, unless U+FE0F follows.
"""
THEMSELVES = {
    "\u2018": "L",  # quotes and letters that stand for an apostrophe
    "\u2019": "L",
    "\uff07": "L",
    "\u0e33": "M",  # Thai and Lao vowels that close a cluster
    "\u0eb3": "M",
    "\uff9e": "M",  # voicing marks of halfwidth kana
    "\uff9f": "M",
    "\u200b": "S",
    "\u200d": "J",
    "\ufe0f": "V",
    "\u20e3": "Q",
    "\u17d2": "K",
    "\u1039": "K",
    "\u1a60": "K",
}
"""Characters whose class is not that of their kind."""
KERAS = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n\r\v\f '
"""What parts words in ASCII; all else is letters."""


def class_of(code: int, category: str, has: set[str]) -> str:
    """Return a character's class, of those that the module lists."""
    text = chr(code)
    if code < 128:
        return "S" if text in KERAS else "L"
    if text in THEMSELVES:
        return THEMSELVES[text]
    if 0x1F1E6 <= code <= 0x1F1FF:
        return "R"
    if 0x1F3FB <= code <= 0x1F3FF:
        return "T"
    if 0xE0020 <= code <= 0xE007F:
        return "G"
    if "Default_Ignorable_Code_Point" in has:
        return "D"
    if category.startswith("M"):
        return "M"
    if category.startswith("L") or category == "Nl":
        return "C" if has & {*SPACELESS, *SHARED, "Ideographic"} else "L"
    if category.startswith("N"):
        return "L"
    if "Emoji" in has:
        if "Emoji_Presentation" in has or any(code in block for block in SHOWN_AS_TEXT):
            return "E"
        return "P" if text.lower() == text else "S"  # not a circled M, whose small letter is none
    if category == "Cn" and "Extended_Pictographic" in has and code >= 0x1F000:
        return "E"  # kept free for emoji to come
    if category == "Cn" and 0x20000 <= code < 0x3FFFE:
        return "C"  # and for Han
    return "S"


def read_classes() -> tuple[str, str, str]:
    """Ask Node.js: the version of Unicode that it knows, and of all characters in order the class and the form."""
    names = [*(f"Script={name}" for name in SPACELESS), *SHARED, *PROPERTIES]
    program = READ.replace("NAMES", json.dumps(names)).replace("CATEGORIES", json.dumps(CATEGORIES))
    ran = subprocess.run(["node", "-"], input=program, capture_output=True, encoding="utf-8", check=True)
    found = json.loads(ran.stdout)
    starts = [*(code for code, _ in found["runs"]), 0x110000]
    classes = []
    for (start, said), end in zip(found["runs"], starts[1:], strict=True):
        category, *has = said.split()
        known = {name.removeprefix("Script=") for name in has}
        classes += [class_of(code, category, known) for code in range(start, end)]
    composing, moving = set(found["composing"]), set(found["moving"])
    forms = ("C" if code in composing else "M" if code in moving else "F" for code in range(0x110000))
    return found["version"], "".join(classes), "".join(forms)


def encode(classes: str) -> str:
    """Write runs of equal letters as the letter and the run's length in base 36."""
    runs = ((letter, len(list(run))) for letter, run in groupby(classes))
    written = "".join(letter + np.base_repr(length, 36).lower() for letter, length in runs)
    return "\n".join(f'    "{written[start : start + 112]}"' for start in range(0, len(written), 112))


def render() -> str:
    """Render the module."""
    version, classes, forms = read_classes()
    return f'''"""What each character is to the tokenizer `unicode`; `python -m tools.word_classes` writes this file."""

UNICODE = "{version}"
"""The version of Unicode whose properties these are."""

CLASSES = (
{encode(classes)}
)
"""The classes of all characters in order: of each run of equal ones, the class and the run's length in base 36.

- `S` parts words; `L` is a letter or a digit of a script with spaces; `C` a letter of one without; `M` a mark;
- `E` is an emoji; `P` a symbol that U+FE0F makes one; `T` a skin tone; `R` a letter of flags; `G` a tag of flags;
- `J` is the zero-width joiner, `V` U+FE0F, `Q` the keycap, `K` a sign that stacks the letter after it;
- `D` is not seen, and dropped.
"""

FORMS = (
{encode(forms)}
)
"""What NFC may do, written likewise: change a character or compose it with one before it (`C`), move a mark among
others (`M`), or neither (`F`).
"""
'''


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    if parser.parse_args().check:
        sys.exit(int(MODULE.read_text(encoding="utf-8") != render()))
    MODULE.write_text(render(), encoding="utf-8")
