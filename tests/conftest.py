"""What several test modules share."""

import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

os.environ.setdefault("KERAS_BACKEND", "jax")

PROJECT = Path(__file__).resolve().parents[1]
AG_NEWS = PROJECT.parent / "shared" / "ag_news"
GOLDENS = PROJECT.parent / "shared" / "goldens"


@pytest.fixture(scope="session")
def ag_news():
    """The folder with the real AG News documents."""
    if not AG_NEWS.is_dir():
        pytest.skip("no ../shared/ag_news on this machine")
    return AG_NEWS


@pytest.fixture(scope="session")
def goldens():
    """The folder with what the tutorial printed."""
    if not GOLDENS.is_dir():
        pytest.skip("no ../shared/goldens on this machine")
    return GOLDENS


@pytest.fixture(scope="session")
def ag_news_texts(ag_news):
    """All texts of AG News, train then test, read without the project's own code."""
    import csv

    texts = []
    for name in ("train.csv", "test.csv"):
        with (ag_news / name).open(encoding="utf-8", newline="") as file:
            texts += [f"{title} {description}" for _, title, description in csv.reader(file)]
    return texts


def write_corpus(path, texts, labels, classes, row_group_size=None):
    """Write a split as the download stage does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    label = pa.DictionaryArray.from_arrays(pa.array(labels, pa.int32()), pa.array(classes))
    metadata = {"flaxtext": json.dumps({"classes": classes})}
    table = pa.table({"text": pa.array(texts, pa.string()), "label": label}).replace_schema_metadata(metadata)
    pq.write_table(table, path, row_group_size=row_group_size)
    return path
