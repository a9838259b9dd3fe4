"""Files that are whole or absent: everything is written under a temporary name, then renamed."""

import errno
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says to who writes, and to no one who reads."""
DESCRIPTOR = re.compile(r"/(?:dev|proc/self|proc/thread-self)/fd/([0-9]{1,9})")
STANDARD = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}

_unfinished: dict[Path, Path | None] = {}
"""Temporary path -> where it belongs, once it is whole."""


@contextmanager
def atomic(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path` for a file or a folder, and rename it to `path` at the end.

    A reader never meets half an output: an error or a kill leaves `path` as it was. The temporary name
    is always the same, so that the next run writes over what a killed one left. A link is replaced, not followed:
    where DVC links outputs to its cache, the cache stays as it is.

    Raises:
        OSError: it cannot be written; the error names `path`, not the temporary one.
    """
    with _replacing(Path(path), Path(path)) as temporary:
        yield temporary


@contextmanager
def open_output(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open for writing what a user named: a file, whole or absent, or a device or a pipe, as it is.

    At the end of a link lies the file that is written; the link stays.

    Raises:
        OSError: it cannot be written; the error names `path`.
    """
    named = Path(path)
    number = descriptor(named)
    if number is not None:  # opened anew, a file would be cut short that the shell appends to
        with _naming(named, named), os.fdopen(os.dup(number), "wb") as file:
            yield file
    elif is_special(named):
        with _naming(named, named), named.open("wb") as file:
            yield file
    else:
        with _replacing(follow(named), named) as temporary, temporary.open("wb") as file:
            yield file


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` to `path` as UTF-8 with Unix line ends, whole or not at all."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def follow(path: Path) -> Path:
    """Return where a link leads in the end, be there a file or none yet; what is no link stays as it is.

    Raises `OSError` for links that lead to themselves.
    """
    if not path.is_symlink():
        return path
    end = Path(os.path.realpath(path))
    if end.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    return end


def is_special(path: Path) -> bool:
    """Tell whether a path is there and no file or folder, but a device, a pipe or a socket."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def descriptor(path: Path) -> int | None:
    """Return the number of the open file that a path such as /dev/stdout or /dev/fd/3 stands for, else None."""
    place = Path(os.path.normpath(path.absolute()))
    for _ in range(40):  # as many links as Linux follows
        if str(place) in STANDARD:
            return STANDARD[str(place)]
        if found := DESCRIPTOR.fullmatch(str(place)):
            return int(found[1])
        if not place.is_symlink():
            return None
        place = Path(os.path.normpath(place.parent / place.readlink()))
    return None


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Yield a temporary folder, which is gone at the end, be it that of the process by a signal."""
    import tempfile  # which imports much, and few need it

    with tempfile.TemporaryDirectory(prefix="flaxtext-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        _unfinished[folder] = None
        try:
            yield folder
        finally:
            _unfinished.pop(folder, None)


def settle() -> None:
    """Put what is whole in its place and remove what is not: for a process that ends wherever it is."""
    for temporary, target in list(_unfinished.items()):
        with suppress(OSError):
            if target is not None:
                _put(temporary, target)
            _remove(temporary)


@contextmanager
def _replacing(target: Path, named: Path) -> Iterator[Path]:
    """Do as `atomic` does to `target`, with errors that name `named`."""
    temporary = target.with_name(f".{target.name}.tmp")
    registered = temporary.absolute()  # the folder may be another by then
    with _naming(named, temporary):
        _make_parent(target, named)
        _unfinished[registered] = None
        try:
            _remove(temporary)
            yield temporary
            if not temporary.exists():
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(temporary))
            _unfinished[registered] = target.absolute()  # from here on, a folder that was there may be gone
            _put(temporary, target)
        finally:
            _unfinished[registered] = None
            _remove(temporary)
            _unfinished.pop(registered, None)


def _make_parent(target: Path, named: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        number = errno.ENOTDIR if error.errno == errno.EEXIST else error.errno or 0
        raise OSError(number, os.strerror(number), str(named)) from None


@contextmanager
def _naming(named: Path, written: Path) -> Iterator[None]:
    """Let errors of the system about `written`, a file or a folder, speak of `named`.

    Arrow's errors have the path in their text alone, and some of no room no path at all.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None or error.errno == errno.EPIPE:
            raise
        about = str(error if error.filename is None else error.filename)
        if str(written) in about or (error.filename is None and error.errno in NO_ROOM):
            raise OSError(error.errno, os.strerror(error.errno), str(named)) from None
        raise


def _put(temporary: Path, target: Path) -> None:
    if temporary.exists():
        if target.is_dir():  # a rename does not replace a folder that holds files
            _remove(target)
        temporary.replace(target)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
