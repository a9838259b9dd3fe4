"""Character encodings of users' files: which ones are taken, and how any of them is turned into UTF-8 while it is read.

A byte order mark says what a file is written in, whatever its reader was told; without one, it is UTF-8 unless an
encoding is named. Bytes that the encoding does not have become `UNDECODABLE` and what stood there, so that they are
found where the rows are decoded, and the message can name the row.
"""

import codecs
import io
from typing import BinaryIO

UTF8 = "UTF-8"
UNDECODABLE = b"\xff"
"""A byte that is never in UTF-8; it stands before bytes that could not be decoded."""
MARKS = (
    (codecs.BOM_UTF8, UTF8),
    (codecs.BOM_UTF32_LE, "UTF-32-LE"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "UTF-32-BE"),
    (codecs.BOM_UTF16_LE, "UTF-16-LE"),
    (codecs.BOM_UTF16_BE, "UTF-16-BE"),
)
UNMARKED = {"utf-16": "UTF-16-LE", "utf-32": "UTF-32-LE"}
"""Python's decoders of these refuse a file without a mark."""
CHUNK = 1 << 18
"""Bytes decoded at a time."""
_NO_ENCODINGS_OF_FILES = {"idna", "punycode", "unicode-escape", "raw-unicode-escape", "utf-7", "undefined"}
_ON_ERROR = "flaxtext.undecodable"


def check_encoding(name: str) -> str:
    """Return the name of an encoding of text as it was given. Raises `ValueError`, with a sentence, for any other."""
    try:
        codec = codecs.lookup(name)
    except (LookupError, ValueError):  # ValueError: a NUL, or half a surrogate pair
        raise ValueError(f"no encoding is called {name!r}; such as utf-8, cp1252, utf-16-le, shift_jis") from None
    plain = codec.name.replace("_", "-")
    is_text = getattr(codec, "_is_text_encoding", True) and codec.incrementaldecoder is not None
    if not is_text or plain in _NO_ENCODINGS_OF_FILES:
        raise ValueError(f"{name!r} is not an encoding of text files; such as utf-8, cp1252, utf-16-le, shift_jis")
    return name


def encoding_of(head: bytes, given: str | None) -> tuple[str, int]:
    """Return the encoding of a file that begins with `head`, and the length of its byte order mark.

    A mark comes before the encoding that was given: a file of the marks' bytes is text in no other encoding. UTF-16 and
    UTF-32 without a mark are those of most machines, little-endian.
    """
    for mark, name in MARKS:
        if head.startswith(mark):
            return name, len(mark)
    return UNMARKED.get(codecs.lookup(given).name, given) if given else UTF8, 0


def is_utf8(encoding: str) -> bool:
    """Tell whether the bytes of a file can pass as they are."""
    return codecs.lookup(encoding).name in ("utf-8", "utf-8-sig")


def unmarked_utf16(head: bytes) -> str | None:
    """Return UTF-16's or UTF-32's name if `head` has NULs where they have them for letters of English."""
    if b"\0" not in head:
        return None
    quarters = [head[offset::4] for offset in range(4)]
    nul = [part.count(0) > len(part) // 2 for part in quarters]
    patterns = {
        (False, True, False, True): "utf-16-le",
        (True, False, True, False): "utf-16-be",
        (False, True, True, True): "utf-32-le",
        (True, True, True, False): "utf-32-be",
    }
    return patterns.get((nul[0], nul[1], nul[2], nul[3]))


class Recoded(io.RawIOBase):
    """A file in any encoding, read as UTF-8."""

    def __init__(self, file: BinaryIO, encoding: str) -> None:
        super().__init__()
        self._file = file
        self._decoder = codecs.getincrementaldecoder(encoding)(_ON_ERROR)
        self._ready = memoryview(b"")
        self._ended = False

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, target: memoryview) -> int:  # type: ignore[override]
        """Fill `target` with the next bytes; return how many, 0 at the end alone."""
        while not self._ready and not self._ended:
            data = self._file.read(CHUNK)
            self._ended = not data
            text = self._decoder.decode(data, final=self._ended)
            self._ready = memoryview(text.encode("utf-8", "surrogateescape"))
        count = min(len(target), len(self._ready))
        target[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count


def _keep_undecodable(error: UnicodeError) -> tuple[str, int]:
    """Put `UNDECODABLE` before bytes that are not in the encoding, as `surrogateescape` writes it."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    # Those of ASCII's range are left out: among them might be a delimiter or the end of a line.
    kept = bytes(byte for byte in error.object[error.start : error.end] if byte >= 0x80)
    return (UNDECODABLE + kept).decode("ascii", "surrogateescape"), error.end


codecs.register_error(_ON_ERROR, _keep_undecodable)
