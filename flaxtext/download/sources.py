"""Labelled documents from the user's files or from docstrings, as record batches of one shape.

Every bad row is an error that names the file and the row. Rows without text and label are skipped.
"""

import functools
import hashlib
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flaxtext.config import Split
from flaxtext.config.data import Data, FileSource, PydocsSource, Source
from flaxtext.core.errors import UserError
from flaxtext.download import pydocs
from flaxtext.download.fetch import fetch, is_remote
from flaxtext.io.reading import Frame, join_columns, read_frames
from flaxtext.io.table import Options, Table, excerpt, format_of, is_blank, listed

MAX_CLASSES = 1000
"""Different labels that are believed to be classes where the source does not name them."""

Batches = Iterator[tuple[Split, pa.RecordBatch]]


@dataclass(frozen=True)
class SourceDocuments:
    """What a source holds.

    Attributes:
        name: what to call the source in messages.
        classes: the class names, in order.
        origin: checksums of the files, or versions of the packages.
        batches: pairs of a split and a record batch of `artifacts.corpus.SCHEMA`, to be read once.
    """

    name: str
    classes: list[str]
    origin: dict[str, Any]
    batches: Batches


@contextmanager
def open_source(data: Data, source: Source) -> Iterator[SourceDocuments]:
    """Yield the documents of `source`, which `data.source` names.

    Raises:
        UserError: a file or package that cannot be read; while the batches are read, a bad row.
    """
    if isinstance(source, PydocsSource):
        yield _read_packages(source, data.source)
        return
    with ExitStack() as stack:
        train, md5 = stack.enter_context(_open_file(source, data, "train"))
        files: dict[Split, Table] = {"train": train}
        checksums = {"train": md5}
        if source.test is not None:
            files["test"], checksums["test"] = stack.enter_context(_open_file(source, data, "test"))
        labels = _labels(train, source)
        classes = list(source.classes.values()) if isinstance(source.classes, dict) else labels
        batches = _read_files(files, source, labels, classes)
        yield SourceDocuments(train.name, classes, {"checksums": checksums}, batches)


def check_splits(counts: dict[str, np.ndarray], documents: SourceDocuments) -> None:
    """Refuse splits that no classifier could learn from; warn of a class that test lacks."""
    for split, count in counts.items():
        if not count.any():
            raise UserError(
                f"{documents.name}: no document falls to the {split} split; give more of them, or another test_fraction"
            )
    classes = np.array(documents.classes)
    present, missing = classes[counts["train"] > 0], classes[counts["train"] == 0]
    if len(present) == 1:
        raise UserError(
            f"{documents.name}: all training documents are of class {str(present[0])!r}; "
            "a classifier needs two classes or more"
        )
    if len(missing):
        raise UserError(f"{documents.name}: no training document of class {', '.join(missing)}")
    if len(missing := classes[counts["test"] == 0]):
        print(f"warning: {documents.name}: no test document of class {', '.join(missing)}", file=sys.stderr)


def split_by_hash(batch: pa.RecordBatch, test_fraction: float) -> Batches:
    """Send about `test_fraction` of the documents to test, each by a hash of its own text.

    So other rows change nothing for a document, equal texts stay together, and each class keeps its share.
    """
    limit = test_fraction * 2**64
    texts = batch["text"].cast(pa.binary()).to_pylist()
    hashes = (int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") for text in texts)
    in_test = pa.array([value < limit for value in hashes], pa.bool_())
    yield "train", batch.filter(pc.invert(in_test))
    yield "test", batch.filter(in_test)


def _read_packages(source: PydocsSource, name: str) -> SourceDocuments:
    documents = pydocs.documents(source.packages)
    classes = list(source.packages)
    texts = pa.array([text for text, _ in documents], pa.string())
    labels = pa.array([label for _, label in documents], pa.string())
    batch = _batch(texts, pc.index_in(labels, pa.array(classes)), classes)
    versions = pydocs.versions(source.packages)
    return SourceDocuments(
        f"sources.{name}", classes, {"versions": versions}, split_by_hash(batch, source.test_fraction)
    )


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
            f"warning: {location}: DVC does not see when this file changes; put it into data/inputs/, or {verified}",
            file=sys.stderr,
        )
    file_format = source.format or format_of(_file_name(origin))
    if file_format is None:
        raise UserError(f"{location}: unknown ending; set {key}.format to csv, tsv, jsonl or parquet")
    with fetch(location, advice, md5, data.verify) as file:
        if not file.path.stat().st_size:
            raise UserError(f"{location}: the file is empty")
        yield Table(location, file.path, file_format, Options(header=source.header)), file.md5


def _file_name(location: str) -> str:
    return PurePosixPath(urlsplit(location).path if is_remote(location) else location).name


def _is_tracked(location: str) -> bool:
    """Whether the file is under data/inputs, which dvc.yaml names as a dependency."""
    return not is_remote(location) and Path(location).resolve().is_relative_to(Path("data/inputs").resolve())


def _labels(train: Table, source: FileSource) -> list[str]:
    """Return the labels as they stand in the files, in the order of the classes."""
    if source.classes is not None:
        return [str(label) for label in source.classes]
    found: set[str] = set()
    for frame in read_frames(train, [source.label]):
        [column] = frame.columns
        found.update(label for label in column.unique().to_pylist() if label)
        if len(found) > MAX_CLASSES:
            raise UserError(
                f"{train.name}: more than {MAX_CLASSES:,} different labels in column {source.label!r}; "
                "is it the label column? If it is, list the classes"
            )
    if all(re.fullmatch("-?[0-9]+", label) for label in found):
        return sorted(found, key=lambda label: (int(label), label))
    return sorted(found)


def _read_files(files: dict[Split, Table], source: FileSource, labels: list[str], classes: list[str]) -> Batches:
    for split, file in files.items():
        count = 0
        for frame in read_frames(file, [*source.text, source.label]):
            batch = _checked(file, frame, labels, classes)
            count += batch.num_rows
            if "test" in files:
                yield split, batch
            else:
                yield from split_by_hash(batch, source.test_fraction)
        if not count:
            raise UserError(f"{file.name}: no documents in the file")


def _checked(file: Table, frame: Frame, labels: list[str], classes: list[str]) -> pa.RecordBatch:
    """Turn the columns of a frame, texts and then the label, into documents; refuse a bad row."""
    columns = [column.fill_null("") for column in frame.columns]
    filled = functools.reduce(pc.or_, [pc.not_equal(column, "") for column in columns])
    rows = pc.indices_nonzero(filled)
    *texts, label = [column.take(rows) for column in columns]
    text = join_columns(texts)
    codes = pc.index_in(label, pa.array(labels, pa.string()))

    def refuse(bad: pa.Array, explain: Callable[[str, str], str]) -> None:
        at = pc.index(bad, True).as_py()
        if at >= 0:
            message = explain(excerpt(text[at].as_py()), excerpt(label[at].as_py()))
            raise UserError(f"{file.name}: row {frame.numbers[rows[at].as_py()]}: {message}")

    refuse(is_blank(label), lambda text, _: f"no label for the text {text}; add it, or remove the row")
    refuse(
        codes.is_null(),
        lambda _, label: f"label {label} is not one of {listed(labels)}; correct the row, or classes",
    )
    refuse(is_blank(text), lambda _, label: f"empty text, of label {label}; remove the row")
    return _batch(text, codes, classes)


def _batch(texts: pa.Array, codes: pa.Array, classes: list[str]) -> pa.RecordBatch:
    labels = pa.DictionaryArray.from_arrays(codes, pa.array(classes, pa.string()))
    return pa.RecordBatch.from_arrays([texts, labels], ["text", "label"])
