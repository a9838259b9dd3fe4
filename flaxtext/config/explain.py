"""Section `explain`: what is explained, and at what expense."""

from pydantic import Field

from flaxtext.config import Amount, Count, Section, Seed


class Faithfulness(Section):
    """On how many test documents, and with how many samples each, explanations are held against random words."""

    documents: Count | None = 300
    samples: int = Field(default=1000, ge=10, le=100_000)


class Explain(Section):
    """Which test documents LIME explains, and how."""

    rows: list[Amount] | None = None
    mistakes: Amount = 5
    samples: int = Field(default=5000, ge=10, le=100_000)
    words: Count = 10
    faithfulness: Faithfulness = Faithfulness()
    seed: Seed = 0
