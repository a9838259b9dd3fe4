"""The command `compare`."""

import sys
from contextlib import closing
from dataclasses import asdict
from typing import Annotated

import typer

from flaxtext.cli.options import AsJson


def compare(
    before: Annotated[
        str, typer.Argument(metavar="REV", help="A commit, branch, tag or experiment.", show_default="HEAD")
    ] = "HEAD",
    after: Annotated[
        str | None, typer.Argument(metavar="REV", help="Another.", show_default="the working tree")
    ] = None,
    variant: Annotated[
        list[str] | None,
        typer.Option(
            "--variant",
            "-v",
            metavar="VARIANT",
            help="Compare this one; repeatable. A:B compares A of the first with B of the second.  "
            "[default: all that both have]",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say for each variant whether a change between two revisions is real, from what both predicted.

    - `flaxtext compare`: what the last commit has against the working tree
    - `flaxtext compare main feature`
    - `flaxtext compare main -v average_20:sum_20`

    Predictions come from DVC's cache or remote; nothing is checked out or run. Differences are in points of accuracy;
    the section `compare` of params.yaml has the settings.
    """
    from flaxtext.cli.revisions import Revision, changes, project, readable_changes
    from flaxtext.cli.terminal import json_line, plain_lines
    from flaxtext.config.compare import Compare

    settings = Compare.read("compare", project() / "params.yaml")
    with closing(Revision(before)) as old, closing(Revision(after)) as new:
        results = changes(old, new, variant or [], settings)
    for one, other in ((old, new), (new, old)):
        alone = [name for name in one.variants if name not in other.variants]
        if alone and not variant:
            print(f"note: only in {one.name}: {', '.join(alone)}", file=sys.stderr)
    if not as_json:
        print(plain_lines(readable_changes(results, settings.confidence)))
        return
    for change in results:
        majority = [own and own.figures for own in change.majority]
        print(json_line({**asdict(change), "majority": majority, "says": str(change)}))
