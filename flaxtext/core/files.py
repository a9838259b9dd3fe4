"""Files that are whole or absent: everything is written under a temporary name, then renamed."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path` for a file or a folder, and rename it to `path` at the end.

    A reader never meets half an output: an error or a kill leaves `path` as it was. The temporary name
    is always the same, so that the next run writes over what a killed one left.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.tmp")
    _remove(temporary)
    try:
        yield temporary
        if target.is_dir():  # a rename does not replace a folder that holds files
            shutil.rmtree(target)
        temporary.replace(target)
    finally:
        _remove(temporary)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` to `path` as UTF-8 with Unix line ends, whole or not at all."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
