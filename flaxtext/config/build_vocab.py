"""Section `build_vocab`: what a word is, and which have ids."""

from pathlib import PurePosixPath

from pydantic import Field, field_validator

from flaxtext.config import Count, Section, Split, short
from flaxtext.text.words import Tokenizer


class BuildVocab(Section):
    """Which words become rows of the embedding table."""

    tokenizer: Tokenizer = "unicode"
    fit_on: list[Split] = Field(default=["train"], min_length=1)
    max_words: Count | None = None
    min_count: Count = 1
    vectors: str | None = None

    @field_validator("vectors")
    @classmethod
    def _check_vectors(cls, path: str | None) -> str | None:
        if path not in (None, "glove") and (PurePosixPath(path).parts[:2] != ("data", "inputs") or ".." in path):
            raise ValueError(f"expected glove, or a file in data/inputs/, where DVC sees it, got {short(path)}")
        return path
