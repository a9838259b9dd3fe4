"""The command `predict`."""

import sys
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from flaxtext.cli.options import AsJson, Model, Texts
from flaxtext.cli.texts import read_texts

if TYPE_CHECKING:
    from flaxtext.io.table import Table

FORMATS = Literal["csv", "tsv", "jsonl", "parquet"]
table_option = partial(typer.Option, rich_help_panel="Tables", show_default=False)
"""An option that goes with --input."""


def predict(
    model: Model,
    texts: Texts = None,
    input_: Annotated[
        Path | None,
        table_option(
            "--input",
            "-i",
            metavar="FILE",
            help="A file of rows: .csv, .tsv, .jsonl (.gz too) or .parquet; - for standard input.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        table_option(
            "--output",
            "-o",
            metavar="FILE",
            help="Where to write them with the predictions; any of these, - for standard output.",
        ),
    ] = None,
    format_: Annotated[
        FORMATS | None,
        table_option(
            "--format",
            metavar="FORMAT",
            help="What has none of these endings: csv, tsv, jsonl or parquet.  [default for output: the input's]",
        ),
    ] = None,
    text: Annotated[
        list[str] | None,
        table_option(
            "--text",
            metavar="COLUMN",
            help="The text's column; repeat it to join several by a space.  [default: text]",
        ),
    ] = None,
    keep: Annotated[
        list[str] | None,
        table_option(
            "--keep",
            metavar="COLUMN",
            help="Write this column of the input; repeatable.  [default: all]",
        ),
    ] = None,
    skip_empty: Annotated[
        bool,
        table_option("--skip-empty", help="Leave out rows without text, and count them."),
    ] = False,
    no_header: Annotated[
        bool,
        table_option(
            "--no-header",
            help="CSV and TSV begin with no names; columns go by number, from 1.",
        ),
    ] = False,
    delimiter: Annotated[
        str | None,
        table_option(
            metavar="CHARACTER",
            help="What separates the fields of CSV and TSV input, such as ';' or tab.  [default: detected]",
        ),
    ] = None,
    encoding: Annotated[
        str | None,
        table_option(
            metavar="NAME",
            help="Of the input, such as cp1252.  [default: UTF-8, or what a byte order mark says]",
        ),
    ] = None,
    quoting: Annotated[
        Literal["csv", "none"] | None,
        table_option(
            help="Whether a quote in CSV and TSV input may begin a field, or is always text.  [default: detected]",
        ),
    ] = None,
    escape_formulas: Annotated[
        bool,
        table_option(
            "--escape-formulas",
            help="Put an apostrophe before cells of CSV and TSV output that a spreadsheet would run.",
        ),
    ] = False,
    top_k: Annotated[int, typer.Option("--top-k", "-k", min=1, help="How many classes, the most probable first.")] = 1,
    prefix: Annotated[str, typer.Option(help="Put this before the names of the new columns.", show_default=False)] = "",
    as_json: AsJson = False,
) -> None:
    """Say which class texts are of, and how probable that is.

    - `flaxtext predict -m data/models/average_20 "some text" "another one"`
    - `flaxtext predict -m data/models/average_20 < lines.txt`
    - `flaxtext predict -m data/models/average_20 -i reviews.csv -o predicted.parquet --text title --text body`
    - `zcat reviews.jsonl.gz | flaxtext predict -m data/models/average_20 -i - -o - --format jsonl | head`

    Rows keep their own columns; `predicted` and `probability` are added (and `predicted_2`, ... with --top-k).
    Rows without text stay, without a prediction.
    """
    if input_ is None and output is None:
        given = {
            "--format": format_,
            "--text": text,
            "--keep": keep,
            "--skip-empty": skip_empty,
            "--no-header": no_header,
            "--delimiter": delimiter,
            "--encoding": encoding,
            "--quoting": quoting,
            "--escape-formulas": escape_formulas,
        }
        for option, value in given.items():
            if value:
                raise typer.BadParameter("goes with --input and --output", param_hint=option)
        _predict_texts(model, texts, top_k, prefix, as_json)
        return
    if input_ is None or output is None:
        raise typer.BadParameter("--input and --output go together; - is standard input or output")
    if texts or as_json:
        raise typer.BadParameter(
            "--input reads the texts from a file" if texts else "for JSON, give an --output FILE.jsonl"
        )

    from flaxtext.cli.tables import input_table, output_table, prepare_input, refuse_same, to_columns
    from flaxtext.io.table import Options

    with ExitStack() as stack:
        options = Options(header=not no_header, delimiter=delimiter, encoding=encoding, quoting=quoting)
        source = input_table(input_, format_, options)
        target = output_table(output, format_, source)
        refuse_same(source, target)
        source = prepare_input(source, stack)
        columns = to_columns(text or ["text"], source, "--text")
        kept = to_columns(keep, source, "--keep") if keep else None
        _predict_table(
            model,
            source,
            target,
            columns,
            keep=kept,
            skip_empty=skip_empty,
            top_k=top_k,
            prefix=prefix,
            escape=escape_formulas,
        )


def _predict_texts(path: Path, texts: list[str] | None, top_k: int, prefix: str, as_json: bool) -> None:
    from flaxtext.artifacts.bundle import read_bundle
    from flaxtext.cli import terminal
    from flaxtext.cli.rows import predict_columns
    from flaxtext.core.arrow import string_array
    from flaxtext.core.printable import LENGTH

    model = read_bundle(path)
    width = terminal.width_of(sys.stdout)
    wide = min(LENGTH, max(len(terminal.plain(name)) for name in model.classes))
    for block in read_texts(texts):
        columns = predict_columns(model, string_array(block), "numpy", top_k, prefix)
        for text, *values in zip(block, *(column.to_pylist() for column in columns.values()), strict=True):
            if as_json:
                rounded = [round(value, 6) if isinstance(value, float) else value for value in values]
                row = dict(zip(columns, rounded, strict=True))
                print(terminal.json_line({"text": text, **row}))
                continue
            pairs = zip(values[::2], values[1::2], strict=True)
            cells = [
                f"{terminal.plain(name or '-'):<{wide}}  {'-' if p is None else f'{p:.3f}':<5}" for name, p in pairs
            ]
            line = "  ".join(cells)
            print(f"{line}  {terminal.fit(text, max(20, width - len(line) - 2) if width else None)}")
        sys.stdout.flush()


def _predict_table(path: Path, source: "Table", target: "Table", columns: list[str | int], **settings: Any) -> None:
    from flaxtext.artifacts.bundle import read_bundle
    from flaxtext.cli.rows import count_rows, predict_file

    model = read_bundle(path)
    started = time.perf_counter()
    with _progress(count_rows(source)) as bar:
        tally = predict_file(model, source, target, columns, **settings, report=bar.update)
    seconds = time.perf_counter() - started
    rate = f"{seconds:.2f} s, {tally.rows / seconds:,.0f} a second"
    print(f"{target.name}: {tally.written:,} rows in {rate}", file=sys.stderr)
    if tally.empty:
        became = "were left out" if settings["skip_empty"] else "so no prediction"
        print(
            f"note: {tally.empty:,} rows have no text and {became}; the first is row {tally.first_empty}",
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
