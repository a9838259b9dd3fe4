"""Damage: to bytes, to text, to trees of values as JSON and YAML hold them. All of it by the random numbers given."""

import copy
import datetime
from collections.abc import Callable
from random import Random
from typing import Any

TOKENS = [
    *(b'"', b'""', b"'", b",", b"\t", b";", b"|", b"\\", b"\n", b"\r", b"\r\n", b"\n\n", b" ", b"\0", b"=", b"#"),
    *(b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\xff\xfe\0\0", b"\x1f\x8b", b"\x1a", b"\x1b[31m", b"\x7f"),
    *(b"\xff", b"\xc3", b"\xc3\x28", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\x80", b"\x85", b"\xe2\x80\xa8"),
    *("\u00a0".encode(), "\u200b".encode(), "\ufeff".encode(), "e\u0301".encode(), "\U0001f600".encode()),
    *(b"{", b"}", b"[", b"]", b":", b"null", b"true", b"NaN", b"-Infinity", b"1e400", b"1E5", b"-0", b"\\ud800"),
    *(b"9" * 5000, b"[" * 5000, b'{"a":' * 2000, b'"' * 999, b"a" * 70_000, b"PAR1"),
]
"""Bytes that mean something to a reader of tables."""

YAML_TOKENS = [
    *(b"*x", b"&x ", b"&x [*x, *x]", b"<<: *x", b"!!python/name:os.system ", b"!!set ", b"!!binary ", b"!x ", b"? "),
    *(b"? {a: b}\n", b"2001-01-01", b"2001-01-01T25:00:00Z", b"99999-99-99", b"0o9", b"0x", b"1_000", b"1:30", b".inf"),
    *(b".nan", b"~", b"- ", b"- - ", b"|\n", b">+9\n", b"%YAML 1.1\n", b"---\n", b"...\n", b"{{}}", b"${x}", b"\t"),
    *(b": ", b"#", b"1e999", b"'", b'"\\ud800"', b'"\\x00"', b"@", b"`", b"!!float x", b"!!int x", b"!!timestamp x"),
]
"""Bytes that mean something to a parser of YAML."""


def mutate_bytes(rng: Random, data: bytes, tokens: list[bytes] = TOKENS) -> bytes:
    """Damage bytes in one to four places."""
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4))):
        data = rng.choice(BYTE_MUTATIONS)(rng, data, tokens)
    return data


def _flip(rng: Random, data: bytes, _: list[bytes]) -> bytes:
    at = _place(rng, data)
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :] if data else data


def _replace(rng: Random, data: bytes, _: list[bytes]) -> bytes:
    at = _place(rng, data)
    return data[:at] + bytes([rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))]) + data[at + 1 :]


def _number(rng: Random, data: bytes, _: list[bytes]) -> bytes:
    """Write a number that is at a limit over some bytes, as if it were a length."""
    size = rng.choice((1, 2, 4, 8))
    value = rng.choice((0, 1, 2 ** (8 * size - 1) - 1, 2 ** (8 * size - 1), 2 ** (8 * size) - 1, len(data)))
    at = _place(rng, data)
    written = (value % 2 ** (8 * size)).to_bytes(size, rng.choice(("little", "big")))
    return data[:at] + written + data[at + size :]


def _delete(rng: Random, data: bytes, _: list[bytes]) -> bytes:
    at = _place(rng, data)
    return data[:at] + data[at + rng.choice((1, 1, 2, 10, 100)) :]


def _insert(rng: Random, data: bytes, tokens: list[bytes]) -> bytes:
    at = _place(rng, data)
    return data[:at] + rng.choice(tokens) + data[at:]


def _overwrite(rng: Random, data: bytes, tokens: list[bytes]) -> bytes:
    at, token = _place(rng, data), rng.choice(tokens)
    return data[:at] + token + data[at + len(token) :]


def _repeat(rng: Random, data: bytes, _: list[bytes]) -> bytes:
    start = _place(rng, data)
    end = start + rng.choice((1, 5, 50, 500))
    return data[:end] + data[start:end] * rng.choice((1, 1, 2, 50)) + data[end:]


def _truncate(rng: Random, data: bytes, _: list[bytes]) -> bytes:
    return data[: _place(rng, data)]


def _splice(rng: Random, data: bytes, _: list[bytes]) -> bytes:
    """Put the end of the file behind its start, with another part left out or doubled."""
    return data[: _place(rng, data)] + data[_place(rng, data) :]


BYTE_MUTATIONS = [_flip, _replace, _number, _delete, _insert, _insert, _overwrite, _repeat, _truncate, _splice]


def _place(rng: Random, data: bytes) -> int:
    """Choose a place: anywhere, or near the start or the end, where formats keep what they say of themselves."""
    size = len(data)
    if not size:
        return 0
    near = min(size, 200)
    return rng.choice((rng.randrange(size), rng.randrange(size), rng.randrange(near), size - 1 - rng.randrange(near)))


def mutate_lines(rng: Random, data: bytes) -> bytes:
    """Damage a table in text, such that many of its lines stay as they are."""
    return rng.choice(LINE_MUTATIONS)(rng, data)


def _edit_line(change: Callable[[Random, bytes], bytes]) -> Callable[[Random, bytes], bytes]:
    def mutate(rng: Random, data: bytes) -> bytes:
        lines = data.splitlines(keepends=True) or [b""]
        for _ in range(rng.choice((1, 1, 2, 2, 4))):
            at = rng.randrange(len(lines))
            lines[at] = change(rng, lines[at])
        return b"".join(lines)

    return mutate


def _stray_quote(rng: Random, line: bytes) -> bytes:
    at = rng.choice((rng.randrange(len(line) + 1), line.find(b"\t") + 1, line.find(b",") + 1))
    return line[:at] + b'"' + line[at:]


def _wrong_width(rng: Random, line: bytes) -> bytes:
    parts = line.split(b",")
    return rng.choice(
        (b",".join(parts[:-1]) + b"\n", line.rstrip(b"\r\n") + b",more\n", line.rstrip(b"\r\n") + b"\tx\n")
    )


def _huge_field(rng: Random, line: bytes) -> bytes:
    at = rng.randrange(len(line) + 1)
    return line[:at] + rng.choice((b"word ", b"9", b"\xc3\xa9", b'""')) * rng.choice((1000, 100_000)) + line[at:]


def _recode(rng: Random, data: bytes) -> bytes:
    encoding = rng.choice(("latin-1", "cp1252", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-7", "shift-jis"))
    return data.decode("utf-8", "replace").encode(encoding, "replace")


def _shuffle(rng: Random, data: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    rng.shuffle(lines)
    return b"".join(lines)


LINE_MUTATIONS = [
    *(_edit_line(_stray_quote),) * 3,
    _edit_line(_wrong_width),
    _edit_line(_huge_field),
    _edit_line(lambda rng, line: line * rng.choice((0, 2, 3))),
    _edit_line(lambda rng, line: rng.choice((b"\n", b"  \n", b"\r", b'""\n', b"{}\n", b"null\n")) + line),
    _recode,
    _shuffle,
    lambda rng, data: data.replace(b"\n", rng.choice((b"\r\n", b"\r", b"\n\n", b"\0\n"))),
    lambda rng, data: data.replace(b",", rng.choice((b";", b"\t", b"|", b", "))),
]

VALUES: list[Any] = [
    *(None, True, False, 0, 1, -1, 2, 2**31, 2**63, 2**64, -(2**63) - 1, 10**400, 0.5, -0.0, 1e-320, 1e308),
    *(float("inf"), float("nan"), "", " ", "x", "train", "text", "\0", "\x1b[31m", "\u2028", "\ufeff", "é", "a.b"),
    *("a\nb", "../x", "/", ".", "/dev/zero", "no/such", "x" * 5000, "9" * 5000, "true", "1", [], {}, [None], [[]]),
    *({"a": 1}, {"": ""}, {"x": {"x": {}}}, [1, "a"], [0.5] * 1000, {str(i): i for i in range(1000)}),
]
"""Values that JSON can hold, to stand where others are expected."""
YAML_VALUES: list[Any] = [
    *VALUES,
    *({1: 2}, {None: None}, {True: "x"}, {0.5: "x"}, {1: "a", "1": "b"}, b"\xff", {"x", "y"}),
    *(datetime.date(2001, 1, 1), datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)),
]
"""Values that YAML can hold, too."""


def mutate_tree(rng: Random, tree: Any, values: list[Any] = VALUES) -> Any:
    """Return a tree of dicts and lists with one to three places changed: replaced, dropped, renamed, added to."""
    tree = copy.deepcopy(tree)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        places = list(_places(tree))
        if not places:
            return rng.choice(values)
        owner, key = rng.choice(places)
        action = rng.randrange(8)
        if action < 4:
            owner[key] = copy.deepcopy(rng.choice(values))
        elif action == 4:
            del owner[key]
        elif action == 5:
            owner[key] = copy.deepcopy(owner[rng.choice([place for own, place in places if own is owner])])
        elif action == 6 and isinstance(owner, dict):
            owner[rng.choice([f"{key}x", "", str(key).upper(), rng.choice(("x", "model", "__class__"))])] = owner.pop(
                key
            )
        else:
            inner = owner[key]
            owner[key] = [inner] if rng.random() < 0.5 else {"x": inner}
    return tree


def _places(tree: Any) -> Any:
    """Yield each dict or list of a tree with each of its keys or indices."""
    for key in list(tree) if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else []:
        yield tree, key
        yield from _places(tree[key])
