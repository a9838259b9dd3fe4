"""The command `export`."""

from pathlib import Path
from typing import Annotated

import typer

from flaxtext.cli.options import Model
from flaxtext.core.errors import UserError


def export(
    model: Model,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="Where to write it.", show_default=False)
    ],
    int8: Annotated[
        bool, typer.Option("--int8", help="Store the embeddings in 8 bits, with one scale per word.")
    ] = False,
    token_ids: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Labelled token ids, such as data/token_ids/test.parquet: print the accuracy before and after.",
        ),
    ] = None,
    vectors: Annotated[Path | None, typer.Option(hidden=True)] = None,
) -> None:
    """Write a model for programs that have JAX and nothing else: StableHLO, from word ids to probabilities.

    - `flaxtext export -m data/models/average_20 -o exported`
    - `flaxtext export -m data/models/average_20 -o exported --int8 --token-ids data/token_ids/test.parquet`
    """
    from flaxtext.artifacts.bundle import read_bundle
    from flaxtext.cli.stablehlo import FILES, export_model
    from flaxtext.cli.terminal import plain_lines

    if vectors is not None:
        raise UserError("--vectors is now --token-ids")
    if output.exists() and not output.is_dir():
        raise UserError(f"{output}: a file; name a folder")
    output = output.resolve()
    if output.is_dir() and not {path.name for path in output.iterdir()} <= FILES:
        raise UserError(f"{output}: holds other files, which would be lost; name a new folder")
    print(plain_lines(export_model(read_bundle(model), output, int8=int8, judged_on=token_ids)))
