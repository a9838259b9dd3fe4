"""The commands, put together.

The module of a command imports what is heavy, JAX above all, only when the command runs: --help is quick, and a
prediction imports no more than it needs.
"""

from collections.abc import Callable
from typing import Annotated

import typer

import flaxtext
from flaxtext.cli.advise import advise
from flaxtext.cli.compare import compare
from flaxtext.cli.explain import explain
from flaxtext.cli.export import export
from flaxtext.cli.extras import says_what_to_install
from flaxtext.cli.inspect import inspect
from flaxtext.cli.predict import predict
from flaxtext.cli.results import results
from flaxtext.cli.set import set_values
from flaxtext.cli.sweep import sweep

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Ends with 0, also where `| head` has read enough; with 1 if something in your files or texts is wrong; "
    "with 2 if the command is; with 130 on Ctrl-C, 143 on SIGTERM.",
)

COMMANDS: dict[str, tuple[Callable[..., None], str]] = {
    "predict": (predict, "train"),
    "explain": (explain, "train"),
    "inspect": (inspect, "train"),
    "export": (export, "train"),
    "compare": (compare, "pipeline"),
    "set": (set_values, "pipeline"),
    "results": (results, "pipeline"),
    "advise": (advise, "pipeline"),
    "sweep": (sweep, "pipeline"),
}
"""Name -> the command, and the extra of the package that brings whatever it may need."""

for name, (command, extra) in COMMANDS.items():
    app.command(name)(says_what_to_install(name, extra)(command))


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    """Use a trained model, a folder such as data/models/average_20; or work on a project, in its folder."""
    if show:
        print(flaxtext.__version__)
        raise typer.Exit
