"""The command line: predict, explain, inspect and export with a trained model, and compare two revisions."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

import flaxtext
from flaxtext.core import errors
from flaxtext.core.errors import UserError

if TYPE_CHECKING:
    from flaxtext.artifacts.bundle import Classifier
    from flaxtext.io.table import Table

# What takes long to import, JAX above all, is imported by the command that needs it, so that --help is quick.

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Use a trained model, a folder such as data/models/average_20; or compare two commits.",
    epilog="Ends with 0; 1 if something in your files or texts is wrong; 2 if the command is; 130 on Ctrl-C.",
)

Model = Annotated[
    Path,
    typer.Option("--model", "-m", envvar="FLAXTEXT_MODEL", metavar="FOLDER", help="The model.", show_default=False),
]
Texts = Annotated[
    list[str] | None,
    typer.Argument(metavar="TEXT", help="Texts; without any, or with -, the lines of standard input."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, an object a line.")]


def main() -> None:
    """Run the command line."""
    errors.run(app)


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    """Use a trained model, a folder such as data/models/average_20; or compare two commits."""
    if show:
        print(flaxtext.__version__)
        raise typer.Exit


@app.command()
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


@app.command()
def explain(
    model: Model,
    texts: Texts = None,
    class_: Annotated[
        list[str] | None,
        typer.Option("--class", metavar="CLASS", help="Explain this class rather than the predicted one; repeatable."),
    ] = None,
    words: Annotated[int, typer.Option(min=1, help="How many words get a weight.")] = 10,
    samples: Annotated[int, typer.Option(min=10, help="How many shortened texts the model is asked about.")] = 5000,
    seed: Annotated[int, typer.Option(min=0, help="Of the random choice of them.")] = 0,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a page as well.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show which words of a text speak for its class and which against it, by LIME.

    - `flaxtext explain -m data/models/average_20 "some text"`

    On a terminal, words for the class are blue and underlined, words against it orange; the stronger, the darker.
    A weight is what a word adds to the class's probability. NO_COLOR=1 in the environment switches colours off.
    """
    import numpy as np

    from flaxtext.cli import terminal
    from flaxtext.core.files import write_text
    from flaxtext.explain import explanation, pages

    _check_target(html, "--html")
    loaded = _load(model)
    named = class_ or []
    for name in named:
        if name not in loaded.classes:
            raise UserError(f"{model}: no class {name!r}; there are {', '.join(loaded.classes[:20])}")
    documents: list[dict[str, Any]] = []
    first = True
    for block in _texts(texts):
        for text in block:
            [tokens] = loaded.tokenize([text])
            probability = loaded.predict([text])[0]
            predicted = loaded.classes[int(probability.argmax())]
            explained = list(dict.fromkeys(named)) or [predicted]
            result = explanation.explain(
                tokens,
                loaded.token_ids(tokens),
                loaded.probabilities,
                [loaded.classes.index(name) for name in explained],
                max_len=loaded.max_len,
                samples=samples,
                words=words,
                rng=np.random.default_rng(seed),
            )
            side = {"class": predicted, "probability": explanation.rounded(probability.max())}
            models = explanation.as_json(result, explained)
            document = {"text": text, "predicted": side, "explanations": models}
            if html:
                documents.append(document)
            if as_json:
                print(json.dumps(document, ensure_ascii=False), flush=True)
            else:
                print("" if first else "\n\n", end="")
                print(terminal.explained(document, terminal.wants_colour(sys.stdout)), flush=True)
            first = False
    if html:
        name = str(loaded.config.get("variant") or model.name)
        write_text(html, pages.render_explanations(name, documents))
        print(f"{html}: {len(documents):,} texts explained", file=sys.stderr)


@app.command()
def inspect(
    model: Model,
    word: Annotated[
        list[str] | None,
        typer.Option("--word", "-w", metavar="WORD", help="List the words nearest to this one; repeatable."),
    ] = None,
    nearest: Annotated[int, typer.Option(min=1, help="How many of them.")] = 10,
    metrics: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Where evaluate and compare wrote their figures.  [default: the project's]"
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Tell what a model is: network, classes, data, training, figures; and which words it takes for alike.

    - `flaxtext inspect -m data/models/average_20`
    - `flaxtext inspect -m data/models/average_20 --word array`

    Nearness of words is the cosine between their embeddings.
    """
    from flaxtext.cli import inspection, terminal

    loaded = _load(model)
    if not word:
        facts = inspection.describe(loaded, model, metrics)
        print(json.dumps(facts, ensure_ascii=False) if as_json else _lines(inspection.report(facts)))
        return
    for one in word:
        neighbours = inspection.nearest(loaded, one, nearest)
        if as_json:
            words = [{"word": near, "cosine": cosine} for near, cosine in neighbours]
            print(json.dumps({"word": one, "nearest": words}, ensure_ascii=False))
        else:
            print(terminal.plain(one))
            print("\n".join(f"  {cosine:6.3f}  {terminal.plain(near)}" for near, cosine in neighbours))


@app.command()
def export(
    model: Model,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="Where to write it.", show_default=False)
    ],
    int8: Annotated[bool, typer.Option("--int8", help="Store the embeddings in 8 bits, a scale a word.")] = False,
    vectors: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Labelled vectors, such as data/vectors/test.parquet: print the accuracy before and after.",
        ),
    ] = None,
) -> None:
    """Write a model for programs that have JAX and nothing else: StableHLO, from word ids to probabilities.

    - `flaxtext export -m data/models/average_20 -o exported`
    - `flaxtext export -m data/models/average_20 -o exported --int8 --vectors data/vectors/test.parquet`
    """
    from flaxtext.cli import exporting

    if output.exists() and not output.is_dir():
        raise UserError(f"{output}: a file; name a folder")
    output = output.resolve()
    if output.is_dir() and not {path.name for path in output.iterdir()} <= exporting.FILES:
        raise UserError(f"{output}: holds other files, which would be lost; name a new folder")
    loaded = _load(model)
    print(_lines(exporting.export_model(loaded, output, int8=int8, judged_on=vectors)))


@app.command()
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
    from flaxtext.cli import revisions
    from flaxtext.config import params

    settings = params.load(revisions.project() / "params.yaml").compare
    with closing(revisions.Revision(before)) as old, closing(revisions.Revision(after)) as new:
        results = revisions.changes(old, new, variant or [], settings)
    for one, other in ((old, new), (new, old)):
        alone = [name for name in one.variants if name not in other.variants]
        if alone and not variant:
            print(f"note: only in {one.name}: {', '.join(alone)}", file=sys.stderr)
    if not as_json:
        print(_lines(revisions.report(results, settings.confidence)))
        return
    for change in results:
        print(json.dumps({**asdict(change), "says": str(change)}, ensure_ascii=False))


def _load(path: Path) -> "Classifier":
    from flaxtext.artifacts.bundle import load_bundle
    from flaxtext.model.compilation import configure_jax

    configure_jax()
    return load_bundle(path)


def _predict_texts(path: Path, texts: list[str] | None, top_k: int, prefix: str, as_json: bool) -> None:
    import pyarrow as pa

    from flaxtext.cli import terminal
    from flaxtext.cli.predict import predict_columns

    model = _load(path)
    width = terminal.width_of(sys.stdout)
    wide = max(len(terminal.plain(name)) for name in model.classes)
    for block in _texts(texts):
        columns = predict_columns(model, pa.array(block, pa.string()), top_k, prefix)
        rows = pa.RecordBatch.from_pydict(columns).to_pylist()
        for text, row in zip(block, rows, strict=True):
            if as_json:
                rounded = {name: round(value, 6) if isinstance(value, float) else value for name, value in row.items()}
                print(json.dumps({"text": text, **rounded}, ensure_ascii=False))
                continue
            values = list(row.values())
            pairs = zip(values[::2], values[1::2], strict=True)
            cells = [
                f"{terminal.plain(name or '-'):<{wide}}  {'-' if p is None else f'{p:.3f}':<5}" for name, p in pairs
            ]
            line = "  ".join(cells)
            print(f"{line}  {terminal.fit(text, max(20, width - len(line) - 2) if width else None)}")
        sys.stdout.flush()


def _texts(texts: list[str] | None) -> Iterator[list[str]]:
    """Yield the texts, and for `-` or none at all the lines of standard input as they come."""
    for text in texts or ["-"]:
        if text == "-":
            yield from _lines_of(sys.stdin.buffer)
        else:
            yield [_utf8(text)]


def _utf8(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:  # bytes of the command that are not UTF-8
        raise UserError(f"{text[:40]!a}: not UTF-8") from None
    return text


def _lines_of(stream: BinaryIO) -> Iterator[list[str]]:
    if stream.isatty():
        print("reading texts, one a line; Ctrl-D ends", file=sys.stderr)
    number, rest = 0, b""
    while chunk := stream.read1(1 << 20):  # type: ignore[attr-defined]
        *lines, rest = (rest + chunk).split(b"\n")
        if lines:
            yield _decoded(lines, number)
            number += len(lines)
    if rest:
        yield _decoded([rest], number)


def _decoded(lines: list[bytes], number: int) -> list[str]:
    texts = []
    for index, line in enumerate(lines, number + 1):
        try:
            texts.append(line.removesuffix(b"\r").decode())
        except UnicodeDecodeError:
            raise UserError(f"standard input: line {index}: not UTF-8") from None
    return texts


def _table(path: Path, option: str, header: bool) -> "Table":
    from flaxtext.io.table import Options, Table, format_of

    kind = format_of(path.name)
    if kind is None or (kind == "parquet" and path.suffix.lower() == ".gz"):
        raise typer.BadParameter(
            f"{path}: unknown ending; .csv, .tsv, .jsonl (.gz too) or .parquet are known", param_hint=option
        )
    return Table(str(path), path, kind, Options(header=header))


def _check_target(path: Path | None, option: str) -> None:
    if path is not None and path.exists() and not path.is_file():
        raise typer.BadParameter(f"{path} is not a file", param_hint=option)


def _predict_file(
    path: Path, source: "Table", target: "Table", text: list[str], top_k: int, prefix: str, keep_formulas: bool
) -> None:
    _check_target(target.path, "--output")
    if not source.path.is_file():
        raise UserError(f"{source.name}: no such file")
    columns: list[str | int] = [*text]
    if not source.options.header and source.format in ("csv", "tsv"):
        if not all(column.isdigit() for column in text):
            raise typer.BadParameter("with --no-header, columns go by number, from 1", param_hint="--text")
        columns = [int(column) for column in text]

    import pyarrow.parquet as pq
    from tqdm import tqdm

    from flaxtext.cli.predict import predict_file

    model = _load(path)
    total = None
    if source.format == "parquet":
        import pyarrow as pa

        try:
            total = pq.read_metadata(source.path).num_rows
        except (pa.ArrowException, OSError):
            total = None  # reading it says what is wrong
    started = time.perf_counter()
    # disable=None: a bar on a terminal alone
    with tqdm(total=total, unit=" rows", unit_scale=True, disable=None, file=sys.stderr) as bar:
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


def _lines(text: str) -> str:
    from flaxtext.cli import terminal

    return "\n".join(terminal.plain(line) for line in text.split("\n"))
