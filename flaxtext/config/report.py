"""Section `report`."""

from pydantic import Field

from flaxtext.config import Section


class Report(Section):
    """What the report shows; it stays small enough to open at once."""

    mistakes: int = Field(default=500, ge=0)
    characters: int = Field(default=1000, ge=1)
    words: int = Field(default=20_000, ge=1)
    ngrams: int = Field(default=200_000, ge=0)
