"""What several test modules share."""

import io
import os
import signal
import sys
from pathlib import Path

import pytest

os.environ.setdefault("KERAS_BACKEND", "jax")

PROJECT = Path(__file__).resolve().parents[1]
AG_NEWS = PROJECT.parent / "shared" / "ag_news"
GOLDENS = PROJECT.parent / "shared" / "goldens"
CASES = PROJECT.parent / "shared" / "cases"


def pytest_configure():
    """Let the processes that tests start be ended by signals, though a shell's background jobs are born to ignore some.

    A signal that is handled here is back at its default there.
    """
    for name in ("SIGINT", "SIGHUP"):
        if signal.getsignal(getattr(signal, name)) is signal.SIG_IGN:
            signal.signal(getattr(signal, name), lambda *_: None)


def pytest_collection_modifyitems(items):
    """Start with the file that takes longest: others run beside it."""
    items.sort(key=lambda item: item.path.stem != "test_pipeline")


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
def cases():
    """The folder with files that were read wrongly once."""
    if not CASES.is_dir():
        pytest.skip("no ../shared/cases on this machine")
    return CASES


@pytest.fixture(scope="session")
def ag_news_texts(ag_news):
    """All texts of AG News, train then test, read without the project's own code."""
    import csv

    texts = []
    for name in ("train.csv", "test.csv"):
        with (ag_news / name).open(encoding="utf-8", newline="") as file:
            texts += [f"{title} {description}" for _, title, description in csv.reader(file)]
    return texts


@pytest.fixture(scope="session")
def pydocs_texts():
    """All texts of the embedded corpus."""
    from flaxtext.config.params import read_params
    from flaxtext.download.pydocs import documents

    return [text for text, _ in documents(read_params(PROJECT / "params.yaml").sources["pydocs"].packages)]


@pytest.fixture
def flaxtext(monkeypatch, capsys):
    """Run the command in this process: its status, output and errors."""

    from flaxtext.cli.main import main

    def run(*arguments, stdin=b""):
        monkeypatch.setattr(sys, "argv", ["flaxtext", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        try:
            main()
            status = 0
        except SystemExit as ended:
            status = ended.code or 0
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run
