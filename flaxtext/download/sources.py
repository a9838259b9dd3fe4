"""Labelled documents from the user's files or from docstrings, as record batches of one shape."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flaxtext.config import Split
from flaxtext.config.data import Data, FileSource, PydocsSource, Source
from flaxtext.core.errors import UserError
from flaxtext.core.printable import LENGTH, name_some, visible
from flaxtext.download import pydocs
from flaxtext.download.fetch import fetch, is_remote
from flaxtext.download.labels import Classes, found_classes
from flaxtext.download.rows import Reject, Sieve
from flaxtext.download.splits import Batches, HashSplit
from flaxtext.io.reading import join_columns, read_frames
from flaxtext.io.table import Options, Table, format_of, is_blank


@dataclass(frozen=True)
class SourceDocuments:
    """What a source holds.

    Attributes:
        name: what to call the source in messages.
        key: where it stands in params.yaml.
        classes: what labels there are.
        origin: checksums of the files, or versions of the packages.
        keep: what the columns that are carried along are called.
        read: yields pairs of a split and a record batch of `artifacts.corpus.SCHEMA` and the columns `keep`, and hands
            the rows that are left out to the function given. Raises `ReadAgain` at the end where all is to be read once
            more, and `UserError` for bad rows.
        sieves: what each file was found to hold in the last reading.
    """

    name: str
    key: str
    classes: Classes
    origin: dict[str, Any]
    read: Callable[[Reject], Batches]
    keep: Sequence[str] = ()
    sieves: list[Sieve] = field(default_factory=list)


@contextmanager
def open_source(data: Data, source: Source) -> Iterator[SourceDocuments]:
    """Yield the documents of `source`, which `data.source` names.

    Raises:
        UserError: a file or package that cannot be read; while the batches are read, bad rows.
    """
    key = f"sources.{data.source}"
    if isinstance(source, PydocsSource):
        yield _read_packages(source, key)
        return
    with ExitStack() as stack:
        train, md5 = stack.enter_context(_open_file(source, data, "train"))
        files: dict[Split, Table] = {"train": train}
        checksums = {"train": md5}
        if source.test is not None:
            files["test"], checksums["test"] = stack.enter_context(_open_file(source, data, "test"))
        if source.class_of is None:
            classes = found_classes(train, source.label, _read_labels(train, source), key)
        else:
            classes = Classes(source.class_of)
        keep, sieves = [str(column) for column in source.keep], list[Sieve]()
        split = None if "test" in files else HashSplit(source.test_fraction, len(classes.names))

        def read(reject: Reject) -> Batches:
            skipping = reject if source.skip_empty else None
            sieves[:] = [Sieve(file, len(source.text), classes, skipping, keep) for file in files.values()]
            return _read_files(files, source, sieves, split, key)

        yield SourceDocuments(train.name, key, classes, {"checksums": checksums}, read, keep, sieves)


def check_splits(counts: dict[str, np.ndarray], documents: SourceDocuments) -> None:
    """Refuse splits that no classifier could learn from; warn of a class that test lacks."""
    for split, count in counts.items():
        if not count.any():
            raise UserError(
                f"{documents.name}: no document falls to the {split} split; give more of them, or another test_fraction"
            )
    names = np.array(documents.classes.names, object)
    present, missing = names[counts["train"] > 0], names[counts["train"] == 0]
    if len(present) == 1:
        raise UserError(
            f"{documents.name}: all training documents are of class '{visible(present[0], LENGTH)}'; "
            "a classifier needs two classes or more"
        )
    if len(missing):
        raise UserError(
            f"{documents.name}: no training document of class {name_some(missing.tolist())}; add some to the file, or "
            f"take the class out of {documents.key}.classes"
        )
    if len(missing := names[counts["test"] == 0]):
        print(f"warning: {documents.name}: no test document of class {name_some(missing.tolist())}", file=sys.stderr)


def _read_packages(source: PydocsSource, key: str) -> SourceDocuments:
    documents = pydocs.documents(source.packages)
    classes = Classes({name: name for name in source.packages})
    texts = pa.array([text for text, _ in documents], pa.string())
    names = pa.array(classes.names, pa.string())
    codes = pc.index_in(pa.array([label for _, label in documents], pa.string()), names)
    batch = pa.record_batch([texts, pa.DictionaryArray.from_arrays(codes, names)], names=["text", "label"])
    split = HashSplit(source.test_fraction, len(classes.names))

    def read(_: Reject) -> Batches:
        yield from split.split(batch)
        split.settle()

    return SourceDocuments(key, key, classes, {"versions": pydocs.versions(source.packages)}, read)


@contextmanager
def _open_file(source: FileSource, data: Data, split: Split) -> Iterator[tuple[Table, str]]:
    """Yield the file of a split and its MD5, from the mirror if there is one."""
    key = f"sources.{data.source}"
    origin, md5 = (source.train, source.md5.train) if split == "train" else (source.test or "", source.md5.test)
    location, file_names = origin, " and ".join(_file_name(file) for file in (source.train, source.test) if file)
    if data.mirror and is_remote(origin):
        location = f"{data.mirror.rstrip('/')}/{_file_name(origin)}"
        advice = f"data.mirror is to be a folder or URL that holds {file_names}"
    elif is_remote(origin):
        advice = f"on a machine that cannot reach it, put {file_names} into a folder and set data.mirror to it"
    else:
        advice = f"{key}.{split} is to be a path from the project's folder, or a URL"
    if (md5 is None or not data.verify) and not _is_tracked(location):
        verified = f"its MD5 into {key}.md5.{split}" if md5 is None else "set data.verify: true"
        print(
            f"warning: {visible(location)}: DVC does not see when this file changes; put it into data/inputs/, "
            f"or {verified}",
            file=sys.stderr,
        )
    file_format = source.format or format_of(_file_name(origin))
    if file_format is None:
        raise UserError(f"{location}: unknown ending; set {key}.format to csv, tsv, jsonl or parquet")
    with fetch(location, advice, md5, data.verify) as file:
        if not file.path.stat().st_size:
            raise UserError(f"{location}: the file is empty")
        try:
            options = Options(source.header, source.delimiter, source.encoding, source.quoting)
        except UserError as error:
            raise UserError(f"{key}: {error}") from None
        yield Table(location, file.path, file_format, options), file.md5


def _file_name(location: str) -> str:
    return PurePosixPath(urlsplit(location).path if is_remote(location) else location).name


def _is_tracked(location: str) -> bool:
    """Whether the file is under data/inputs, which dvc.yaml names as a dependency."""
    try:
        return not is_remote(location) and Path(location).resolve().is_relative_to(Path("data/inputs").resolve())
    except (OSError, RuntimeError):  # links that lead round in a circle
        return False


def _read_labels(train: Table, source: FileSource) -> Iterator[pa.StringArray]:
    """Yield the labels of the training file, `string[n]` a batch; where rows without text are left out, not theirs."""
    texts = source.text if source.skip_empty else []
    for frame in read_frames(train, [source.label, *texts]):
        label, *text = frame.columns
        yield label.filter(pc.invert(is_blank(join_columns(text)))) if text else label


def _read_files(
    files: dict[Split, Table], source: FileSource, sieves: list[Sieve], split: HashSplit | None, key: str
) -> Batches:
    """Yield the documents of all files. Raises `UserError` at the end, a line for each file with bad rows."""
    for (name, file), sieve in zip(files.items(), sieves, strict=True):
        for frame in read_frames(file, [*source.text, source.label, *source.keep]):
            batch = sieve.documents(frame)
            if split is None:
                yield name, batch
            else:
                yield from split.split(batch)
    if problems := [problem for sieve in sieves if (problem := sieve.problem(key))]:
        raise UserError(*problems)
    if split is not None:
        split.settle()
