"""`convsmith predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table
from rich.text import Text

from convsmith.cli import backends
from convsmith.cli.app import BackendOption, DebugOption, app, out


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(help="A .keras file that `convsmith train` wrote.")],
    image: Annotated[list[Path], typer.Argument(help="Image files: PNG, JPEG, ...")],
    invert: Annotated[
        Literal["auto", "yes", "no"],
        typer.Option(
            help="Swap light and dark; auto: when the image's border is light where the training "
            "images' was dark, or the other way round (greyscale models)."
        ),
    ] = "auto",
    backend: BackendOption = None,
    debug: DebugOption = False,
) -> None:
    """Say what image files show: the class and its probability."""
    name = backends.select(backend)
    with out.status(f"Starting {name}"):
        backends.start(debug=debug)
        from convsmith.training import recognition
    guesses = recognition.recognise(model, image, invert)
    table = Table("image", "class", box=None, pad_edge=False)
    table.add_column("probability", justify="right")
    for guess in guesses:
        table.add_row(
            Text(str(guess.path), overflow="fold"),
            Text(guess.name, style="bold"),
            f"{guess.probability:.1%}" + (" (inverted)" if guess.inverted else ""),
        )
    out.print(table)
