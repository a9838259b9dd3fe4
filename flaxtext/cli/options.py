"""Options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[
    Path,
    typer.Option("--model", "-m", envvar="FLAXTEXT_MODEL", metavar="FOLDER", help="The model.", show_default=False),
]
Texts = Annotated[
    list[str] | None,
    typer.Argument(metavar="TEXT", help="Texts; without any, or with -, the lines of standard input."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one object per line.")]


def check_target(path: Path | None, option: str) -> None:
    """Refuse a folder, which would be lost if a file were written in its place."""
    if path is not None and path.is_dir():
        raise typer.BadParameter(f"{path} is a folder, not a file", param_hint=option)
