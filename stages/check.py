"""Look for what is wrong with the data, and stop the pipeline where it exceeds a limit.

Reads both splits and the vocabulary; writes `metrics/data.json`: how much of each fault there is;
`data/checks/findings.csv`: the documents at fault; and, if no limit of params.yaml is exceeded, `data/checks/passed`,
which vectorize waits for.
"""

import argparse
import sys
from pathlib import Path

from checkout import fast_start, run_script

with fast_start():
    from flaxtext.artifacts.corpus import Corpus
    from flaxtext.artifacts.findings import write_findings
    from flaxtext.artifacts.metrics import write_json
    from flaxtext.artifacts.vocabulary import read_vocabulary
    from flaxtext.check import checks
    from flaxtext.check.checks import SPLITS
    from flaxtext.check.summary import over, print_table, print_warnings
    from flaxtext.config.check import Check
    from flaxtext.core.errors import UserError
    from flaxtext.core.files import write_text
    from flaxtext.core.printable import LENGTH, visible


def main() -> None:
    """Check both splits; figures and findings are written even where a limit is exceeded, to be looked at."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("train", "test", "vocab", "metrics", "findings", "passed"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args()
    section = Check.read("check")
    args.passed.unlink(missing_ok=True)

    train = Corpus(args.train)
    documents = checks.read_documents(train, Corpus(args.test), read_vocabulary(args.vocab))
    findings = checks.find(
        documents, similarity=section.similarity, shingle_words=section.shingle_words, length=section.length
    )
    shares = checks.shares(documents, findings, section.length)
    figures = checks.figures(documents)
    listed = checks.tabulate(documents, findings)
    write_findings(args.findings, listed)
    values = {split: {name: share.value for name, share in shares[split].items()} for split in SPLITS}
    write_json(args.metrics, {split: figures[split] | values[split] for split in SPLITS})

    print_table(figures, shares)
    source = visible(train.origin["source"], LENGTH)
    print_warnings(figures, shares, listed, source, train.class_of, checks.to_merge(documents))
    if exceeded := over(figures, shares, section.limits, source):
        raise UserError(*exceeded, f"{args.findings} lists the documents, {args.metrics} has the figures")
    if len(listed):
        print(f"{args.findings} lists these documents", file=sys.stderr)
    write_text(args.passed, "No limit of section check of params.yaml is exceeded.\n")


if __name__ == "__main__":
    run_script(main)
