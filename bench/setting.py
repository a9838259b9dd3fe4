"""What all comparisons share: the documents, in memory and as files, and how often each side runs."""

from pathlib import Path

import numpy as np

from bench import documents, our_token_ids
from bench.our_models import Fit


class Setting:
    """Documents, ready for all sides.

    Attributes:
        files: a folder with the documents in all formats (`documents.write`), their vocabulary and token ids.
        scratch: a folder for anything else.
        pairs: how often each side runs.
        words, train, test: the tutorial's vocabulary, and its ids with their labels.
        row: the test document that the tutorial explains, 2864 of AG News.
    """

    def __init__(self, loaded: documents.Documents, scratch: Path, pairs: int) -> None:
        self.documents, self.scratch, self.pairs = loaded, scratch, pairs
        self.files = str(scratch / "documents")
        documents.write(loaded, Path(self.files))
        our_token_ids.in_files(self.files)
        files = our_token_ids.Files(self.files)
        self.words, self.train, self.test = files.words, files.examples("train"), files.examples("test")
        self.row = int(np.random.RandomState(1234).randint(1, len(self.test.labels)))

    def fit(self, variant: str, **settings: int) -> Fit:
        """Train a variant on the training split."""
        return Fit(variant, self.words.rows, self.documents.classes, self.train, **settings)
