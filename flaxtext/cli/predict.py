"""The command `predict`."""

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flaxtext.cli.options import AsJson, Model, Texts, check_target
from flaxtext.cli.texts import read_texts
from flaxtext.core.errors import UserError

if TYPE_CHECKING:
    from flaxtext.io.table import Table


def predict(
    model: Model,
    texts: Texts = None,
    input_: Annotated[
        Path | None,
        typer.Option("--input", "-i", metavar="FILE", help="A file of rows: .csv, .tsv, .jsonl (.gz too) or .parquet."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Where to write them with the predictions; any of these."),
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option(
            "--text", metavar="COLUMN", help="The text's column; repeat it to join several by a space.  [default: text]"
        ),
    ] = None,
    top_k: Annotated[int, typer.Option("--top-k", "-k", min=1, help="How many classes, the most probable first.")] = 1,
    prefix: Annotated[str, typer.Option(help="Put this before the names of the new columns.", show_default=False)] = "",
    header: Annotated[
        bool,
        typer.Option(
            "--header/--no-header", help="Whether CSV and TSV begin with names; else columns go by number, from 1."
        ),
    ] = True,
    keep_formulas: Annotated[
        bool,
        typer.Option(
            "--keep-formulas", help="Leave cells of CSV and TSV as they are that a spreadsheet would run as a formula."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say which class texts are of, and how probable that is.

    - `flaxtext predict -m data/models/average_20 "some text" "another one"`
    - `flaxtext predict -m data/models/average_20 < lines.txt`
    - `flaxtext predict -m data/models/average_20 -i reviews.csv -o predicted.parquet --text title --text body`

    Rows keep their own columns; `predicted` and `probability` are added (and `predicted_2`, ... with --top-k).
    Rows without text stay, without a prediction.
    """
    if input_ is None and output is None:
        _predict_texts(model, texts, top_k, prefix, as_json)
        return
    if input_ is None or output is None:
        raise typer.BadParameter("--input and --output go together")
    if texts or as_json:
        raise typer.BadParameter(
            "--input reads the texts from a file" if texts else "for JSON, give an --output FILE.jsonl"
        )
    source, target = _table(input_, "--input", header), _table(output, "--output", header)
    _predict_file(model, source, target, text or ["text"], top_k, prefix, keep_formulas)


def _predict_texts(path: Path, texts: list[str] | None, top_k: int, prefix: str, as_json: bool) -> None:
    from flaxtext.artifacts.bundle import read_bundle
    from flaxtext.cli import terminal
    from flaxtext.cli.rows import predict_columns
    from flaxtext.core.arrow import string_array

    model = read_bundle(path)
    width = terminal.width_of(sys.stdout)
    wide = max(len(terminal.plain(name)) for name in model.classes)
    for block in read_texts(texts):
        columns = predict_columns(model, string_array(block), "numpy", top_k, prefix)
        for text, *values in zip(block, *(column.to_pylist() for column in columns.values()), strict=True):
            if as_json:
                rounded = [round(value, 6) if isinstance(value, float) else value for value in values]
                row = dict(zip(columns, rounded, strict=True))
                print(json.dumps({"text": text, **row}, ensure_ascii=False))
                continue
            pairs = zip(values[::2], values[1::2], strict=True)
            cells = [
                f"{terminal.plain(name or '-'):<{wide}}  {'-' if p is None else f'{p:.3f}':<5}" for name, p in pairs
            ]
            line = "  ".join(cells)
            print(f"{line}  {terminal.fit(text, max(20, width - len(line) - 2) if width else None)}")
        sys.stdout.flush()


def _table(path: Path, option: str, header: bool) -> "Table":
    from flaxtext.io.table import Options, Table, format_of

    kind = format_of(path.name)
    if kind is None or (kind == "parquet" and path.suffix.lower() == ".gz"):
        raise typer.BadParameter(
            f"{path}: unknown ending; .csv, .tsv, .jsonl (.gz too) or .parquet are known", param_hint=option
        )
    return Table(str(path), path, kind, Options(header))


def _predict_file(
    path: Path, source: "Table", target: "Table", text: list[str], top_k: int, prefix: str, keep_formulas: bool
) -> None:
    check_target(target.path, "--output")
    if not source.path.is_file():
        raise UserError(f"{source.name}: no such file")
    columns: list[str | int] = [*text]
    if not source.options.header and source.format in ("csv", "tsv"):
        if not all(column.isdigit() for column in text):
            raise typer.BadParameter("with --no-header, columns go by number, from 1", param_hint="--text")
        columns = [int(column) for column in text]

    from flaxtext.artifacts.bundle import read_bundle
    from flaxtext.cli.rows import count_rows, predict_file

    model = read_bundle(path)
    started = time.perf_counter()
    with _progress(count_rows(source)) as bar:
        tally = predict_file(
            model,
            source,
            target,
            columns,
            top_k=top_k,
            prefix=prefix,
            escape=not keep_formulas,
            report=bar.update,
        )
    seconds = time.perf_counter() - started
    rate = f"{seconds:.2f} s, {tally.rows / seconds:,.0f} a second"
    print(f"{target.name}: {tally.rows:,} rows in {rate}", file=sys.stderr)
    if tally.empty:
        print(
            f"note: {tally.empty:,} rows have no text and so no prediction; the first is row {tally.first_empty}",
            file=sys.stderr,
        )


def _progress(total: int | None) -> Any:
    """Return a bar for a terminal, which shows nothing where there is none, or no tqdm to draw it."""
    try:
        from tqdm import tqdm
    except ModuleNotFoundError:
        from flaxtext.cli.terminal import NoBar

        return NoBar()
    return tqdm(total=total, unit=" rows", unit_scale=True, disable=None, file=sys.stderr)
