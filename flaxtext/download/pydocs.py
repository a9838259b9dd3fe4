"""The embedded corpus: paragraphs from the docstrings of installed packages; nothing is imported or fetched."""

import ast
import gc
import hashlib
import importlib.metadata
import importlib.util
import multiprocessing
import os
import re
import signal
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from flaxtext.core.errors import UserError
from flaxtext.core.parallel import cores

MIN_LETTERS = 45
"""Letters that a paragraph needs: about eight words."""
MIN_PROSE = 0.85
"""Fraction of a paragraph's characters that are letters or spaces; code and formulas have less."""
LEFT_OUT = {"test", "tests", "testing", "_testing", "internal_test_util", "distutils"}
"""Folders of tests, and what NumPy's wheels hold for Python 3.11 alone: the corpus is the same with any Python."""

_Body = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
_NOT_WORDS = re.compile(r"[\W_]+")
_BLANK_LINES = re.compile(r"\n\s*\n")
_DOCTEST = re.compile(r"^\s*(>>>|\.\.\. |In \[)", re.MULTILINE)
_TABLE = re.compile(r"^\s*(\||\+-|=+ +=)", re.MULTILINE)
_HEADING = re.compile(r"^.*\n\s*([-=~^*#])\1{2,}\s*$", re.MULTILINE)
_NOT_LETTERS = re.compile(r"[^A-Za-z]+")


def documents(packages: dict[str, str]) -> list[tuple[str, str]]:
    """Read the documents of `packages`, class name -> top-level package: (text, class name) pairs.

    A document is a paragraph of prose. One that occurs twice, except for case and punctuation, is kept once; one
    that occurs in two packages is dropped, because its class cannot be known. They are sorted by a hash of the text,
    which mixes the classes.

    Raises:
        UserError: a package is not installed, or has no Python source.
    """
    files = [(name, path) for name, package in packages.items() for path in source_files(package)]
    # Not forked: JAX or Arrow may run threads here, which a forked child would wait for without end.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(cores(), mp_context=spawn, initializer=_start_worker) as pool:
        found = pool.map(paragraphs, [path for _, path in files], chunksize=16)
        met: dict[str, tuple[str, set[str]]] = {}  # words -> the first text that has them, the classes of all
        for (name, _), texts in zip(files, found, strict=True):
            for text in texts:
                words = _NOT_WORDS.sub(" ", text.lower()).strip()
                met.setdefault(words, (text, set()))[1].add(name)
    unique = [(text, names.pop()) for text, names in met.values() if len(names) == 1]
    return sorted(unique, key=lambda document: hashlib.blake2b(document[0].encode(), digest_size=8).digest())


def source_files(package: str) -> list[Path]:
    """List a top-level package's Python files in sorted order, without importing it, except for folders `LEFT_OUT`."""
    try:
        spec = importlib.util.find_spec(package) if package.isidentifier() else None
    except ValueError:  # an entry of sys.modules without a spec
        spec = None
    if spec and spec.origin and spec.origin.endswith(".py") and not spec.submodule_search_locations:
        return [Path(spec.origin)]
    if spec is None or spec.submodule_search_locations is None:
        raise UserError(
            f"pydocs: no Python source of a top-level package {package!r}; pip install it, or correct packages"
        )
    return [
        path
        for root in map(Path, spec.submodule_search_locations)
        for path in sorted(root.rglob("*.py"))
        if not LEFT_OUT.intersection(path.relative_to(root).parts)
    ]


def versions(packages: dict[str, str]) -> dict[str, str]:
    """Return package -> version of the distribution that installed it."""
    distributions = importlib.metadata.packages_distributions()
    return {p: importlib.metadata.version(distributions[p][0]) for p in packages.values() if p in distributions}


def paragraphs(path: Path) -> list[str]:
    """Return the prose paragraphs of a Python file's docstrings, white space collapsed."""
    source = path.read_bytes()
    if b'"""' not in source and b"'''" not in source:
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes are the package's business
        try:
            tree = ast.parse(source)
        except SyntaxError:  # a template, or written for another Python
            return []
    return [text for docstring in _docstrings(tree) for text in _prose(docstring)]


def _docstrings(node: _Body) -> Iterator[str]:
    """Yield the docstrings of a module, its classes and functions, as they stand.

    Only bodies are visited, not every node: a quarter of the time of `ast.walk`.
    """
    match node.body:
        case [ast.Expr(ast.Constant(str(docstring))), *_]:
            yield docstring
    for child in node.body:
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _docstrings(child)


def _prose(docstring: str) -> Iterator[str]:
    """Yield the paragraphs that are prose: no doctests, no tables, no headings, mostly letters."""
    for block in _BLANK_LINES.split(docstring):
        if len(block) < MIN_LETTERS or _DOCTEST.search(block) or _TABLE.search(block):
            continue
        text = " ".join(_HEADING.sub("", block).split())
        letters = len(_NOT_LETTERS.sub("", text))
        if letters >= MIN_LETTERS and letters + text.count(" ") >= MIN_PROSE * len(text):
            yield text


def _start_worker() -> None:
    gc.disable()  # a syntax tree is many objects and no garbage: half the time of parsing
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Do not outlive a parent that was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
