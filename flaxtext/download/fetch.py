"""Get a file by path or URL: whole, verified, or an error that says why not and what to do."""

import hashlib
import os
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flaxtext.core.errors import UserError
from flaxtext.core.files import scratch_folder
from flaxtext.core.printable import visible

TRIES = 3
PAUSE = 1.0
"""Seconds before the second try; twice as long before the third."""
TIMEOUT = 30
"""Seconds that an HTTP server may take to answer, and may fall silent."""
LOCAL = ("file://", "local://")
"""What a URL begins with that names a file of this machine."""
KINDS = {
    stat.S_ISDIR: "a folder",
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
    stat.S_ISFIFO: "a pipe",
    stat.S_ISSOCK: "a socket",
}
"""What a path may lead to that is no file."""


@dataclass(frozen=True)
class Fetched:
    """A file on this machine, and its MD5 in hexadecimal."""

    path: Path
    md5: str


@contextmanager
def fetch(location: str, advice: str, md5: str | None = None, verify: bool = True) -> Iterator[Fetched]:
    """Yield the file at `location`, a path or any fsspec URL (http, s3, file, ...).

    A local file is used in place; a remote one is kept in a temporary folder until the context ends.

    Args:
        location: path or URL.
        advice: what to do if the file cannot be read; ends that error's message.
        md5: the MD5 to expect, if known.
        verify: refuse a file of another MD5; if false, warn loudly and go on.

    Raises:
        UserError: no such file, no connection, cut short, or not the file of that MD5.
    """
    with scratch_folder() as folder:
        if is_remote(location):
            path = folder / "download"
            _download(location, path, advice)
        else:
            path = Path(location.partition("://")[2] if location.startswith(LOCAL) else location)
            _refuse_other_than_file(path, location, advice)
        try:
            actual = _md5(path)
        except FileNotFoundError:
            raise UserError(f"{location}: no such file; {advice}") from None
        except (OSError, ValueError) as error:  # the latter for a path that no system has
            raise UserError(f"cannot read {location}: {_reason(error)}; {advice}") from None
        if md5 not in (None, actual):
            found = f"MD5 is {actual}, expected {md5}"
            if verify:
                raise UserError(
                    f"{location}: {found}: not the published file, or cut short; "
                    "get it again, or set data.verify: false to use it all the same"
                )
            print(f"warning: {visible(location)}: NOT verified (data.verify: false): {found}", file=sys.stderr)
        yield Fetched(path, actual)


def is_remote(location: str) -> bool:
    """Whether `location` is a URL of another machine."""
    return "://" in location and not location.startswith(LOCAL)


def _refuse_other_than_file(path: Path, location: str, advice: str) -> None:
    """Raise `UserError` for a folder, a device or a pipe: some of them have no end."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):  # what is not there, or cannot be read, is told when it is opened
        return
    if not stat.S_ISREG(mode):
        kind = next((kind for is_of, kind in KINDS.items() if is_of(mode)), "a special file")
        raise UserError(f"{location}: {kind}, not a file; {advice}")


def _download(url: str, path: Path, advice: str) -> None:
    for attempt in range(1, TRIES + 1):
        try:
            _download_once(url, path)
        except Exception as error:  # noqa: BLE001 - each file system raises kinds of its own
            tries = "" if attempt == 1 else f", after {attempt} tries"
            if attempt == TRIES or _is_permanent(error):
                raise UserError(f"cannot read {url}: {_reason(error)}{tries}; {advice}") from None
        else:
            return
        time.sleep(PAUSE * attempt)


def _download_once(url: str, path: Path) -> None:
    import aiohttp  # here, because it and fsspec take longer to import than a local file to read
    import fsspec
    from fsspec.callbacks import TqdmCallback

    options: dict[str, Any] = {}
    if url.startswith(("http://", "https://")):
        timeout = aiohttp.ClientTimeout(total=None, connect=TIMEOUT, sock_read=TIMEOUT)
        options["client_kwargs"] = {"timeout": timeout, "trust_env": True}
        options["headers"] = {"Accept-Encoding": "identity"}  # so that Content-Length is the file's
    bar = {"desc": url.rsplit("/", 1)[-1], "unit": "B", "unit_scale": True, "disable": None}  # None: off if no tty
    files, remote = fsspec.url_to_fs(url, **options)
    with TqdmCallback(bar) as progress:
        try:
            files.get_file(remote, str(path), callback=progress)
        except aiohttp.ClientPayloadError:
            if not progress.size:
                raise EOFError("truncated: the server closed the connection") from None
    if progress.size and path.stat().st_size < progress.size:
        raise EOFError(f"truncated: {path.stat().st_size:,} of {progress.size:,} bytes came")


def _is_permanent(error: Exception) -> bool:
    """Whether it is useless to try again."""
    status = getattr(error, "status", None)
    if isinstance(status, int):
        return 400 <= status < 500 and status not in (408, 429)
    return isinstance(error, FileNotFoundError | PermissionError | ImportError | ValueError)


def _reason(error: Exception) -> str:
    """Say in a few words what went wrong."""
    cause = getattr(error, "os_error", error)  # aiohttp wraps the socket's
    if isinstance(cause, TimeoutError):
        return f"no answer within {TIMEOUT} s"
    if isinstance(cause, FileNotFoundError):
        return "not found"
    if status := getattr(cause, "status", None):
        return f"HTTP {status} {getattr(cause, 'message', '')}".rstrip()
    if isinstance(cause, OSError) and (cause.errno or 0) > 0:
        return os.strerror(cause.errno or 0).lower()
    return " ".join(str(cause).split()) or type(cause).__name__


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
