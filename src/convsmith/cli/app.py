"""The Typer application, its consoles and the options that several commands share."""

from __future__ import annotations

from typing import Annotated, Literal

import typer
from rich.console import Console

from convsmith._version import __version__

app = typer.Typer(
    name="convsmith",
    help="Custom convolutions for Keras 3: train with them, use what was trained.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
out = Console(highlight=False)
err = Console(stderr=True, highlight=False, soft_wrap=True)

Backend = Literal["tensorflow", "jax", "torch"]
BackendOption = Annotated[
    Backend | None,
    typer.Option(
        "--backend", help="Framework below Keras; default: KERAS_BACKEND, or the first installed."
    ),
]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        out.print(f"convsmith {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Custom convolutions for Keras 3: train with them, use what was trained."""
