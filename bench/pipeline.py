"""The pipeline as its users run it, in a copy of the project."""

import json
import shutil
import time
from pathlib import Path

from bench import PROJECT
from bench.measure import shell
from bench.our_models import VARIANTS
from flaxtext.cli.set import edit

PROTOCOL = (
    "build_vocab.tokenizer=keras",
    "build_vocab.fit_on=[train,test]",
    "vectorize.validation=0",
    "train.max_len=50",
    "train.min_steps=0",
    "train.batch_size=1024",
    "train.patience=null",
    "train.calibrate=false",
    "train.shuffle=false",
    "train.validation_from=test",
    "train.seed=0",
)
LEFT_OUT = ("dvc.lock", "metrics/", "tests/", "bench/")  # another run's outcome, and what no stage reads


class Pipeline:
    """A fresh copy of the project in `folder`, set to the tutorial's protocol on the files in `source`.

    It keeps JAX's compiled code in the folder `compiled`.
    """

    def __init__(self, folder: Path, source: Path, classes: list[str], compiled: Path) -> None:
        self.folder, self.source, self.compiled = folder, source, compiled
        for name in shell("git", "ls-files", "--cached", "--others", "--exclude-standard").splitlines():
            if (PROJECT / name).is_file() and not name.startswith(LEFT_OUT):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(PROJECT / name, folder / name)
        files = {split: str(source / f"{split}.csv") for split in ("train", "test")}
        entry = json.dumps({**files, "format": "csv", "header": False, "label": 1, "text": [2], "classes": classes})
        variants = f"variants={json.dumps(VARIANTS)}"
        edit([f"sources.bench={entry}", "data.source=bench", *PROTOCOL, variants], folder / "params.yaml")
        shell("git", "init", "--quiet", folder=folder)

    def token_ids(self) -> float:
        """Run the stages build_vocab and vectorize, one after the other and without DVC; returns seconds."""
        texts = {split: str(self.source / f"{split}.parquet") for split in ("train", "test")}
        vocab = ["--vocab", "data/vocab.parquet"]
        started = time.perf_counter()
        splits = ["--train", texts["train"], "--test", texts["test"]]
        known = ["--pretrained", "data/pretrained.safetensors"]
        shell("python", "stages/build_vocab.py", *splits, *vocab, *known, folder=self.folder)
        splits = ["--train", texts["train"], "data/train.parquet", "--test", texts["test"], "data/test.parquet"]
        others = ["--unknown", "data/unknown.parquet"]
        shell("python", "stages/vectorize.py", *splits, *vocab, *others, folder=self.folder)
        return time.perf_counter() - started

    def repro(self) -> float:
        """Run DVC as `make run` does; returns seconds. At first, DVC's cache is empty."""
        started = time.perf_counter()
        shell("dvc", "repro", "--all-pipelines", folder=self.folder, cache=self.compiled)
        return time.perf_counter() - started

    def accuracies(self) -> dict[str, float]:
        """Accuracy on test by variant."""
        metrics = {path.stem: json.loads(path.read_text()) for path in sorted((self.folder / "metrics").glob("*.json"))}
        judged = {variant: figures["test"] for variant, figures in metrics.items() if "parameters" in figures}
        return {variant: figures["accuracy"] for variant, figures in judged.items()}
