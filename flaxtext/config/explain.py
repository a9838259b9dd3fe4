"""Section `explain`: what is explained, and at what expense."""

from typing import Annotated

from pydantic import Field

from flaxtext.config import Section, Seed


class Faithfulness(Section):
    """On how many test documents, and with how many samples each, explanations are held against random words."""

    documents: int | None = Field(default=300, ge=1)
    samples: int = Field(default=1000, ge=10)


class Explain(Section):
    """Which test documents LIME explains, and how."""

    rows: list[Annotated[int, Field(ge=0)]] | None = None
    mistakes: int = Field(default=5, ge=0)
    samples: int = Field(default=5000, ge=10)
    words: int = Field(default=10, ge=1)
    faithfulness: Faithfulness = Faithfulness()
    seed: Seed = 0
