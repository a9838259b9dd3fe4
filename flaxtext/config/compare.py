"""Section `compare`."""

from pydantic import Field

from flaxtext.config import Section, Seed


class Compare(Section):
    """How variants are compared."""

    resamples: int = Field(default=2000, ge=100, le=1_000_000)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    seed: Seed = 0
