"""Section `report`."""

from flaxtext.config import Amount, Count, Section


class Report(Section):
    """What the report shows; it stays small enough to open at once."""

    mistakes: Amount = 500
    characters: Count = 1000
    words: Count = 20_000
    ngrams: Amount = 1_000_000
