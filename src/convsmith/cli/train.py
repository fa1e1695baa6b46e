"""`convsmith train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from convsmith.cli import backends
from convsmith.cli.app import BackendOption, DebugOption, app, out
from convsmith.cli.progress import Bar
from convsmith.training import BASELINE, Precision, Settings

if TYPE_CHECKING:
    from convsmith.training.run import Results


@app.command()
def train(
    data: Annotated[
        str,
        typer.Option(
            help="mini (4,000 digits, shipped), mnist (downloaded), a FILE.npz with x_train, "
            "y_train, x_test and y_test, or a FOLDER with one subfolder of images per class."
        ),
    ] = "mini",
    conv: Annotated[
        str,
        typer.Option(
            help="standardized, plain, a 2-D layer of convsmith.layers, or any registered "
            "layer as package>Name."
        ),
    ] = "standardized",
    epochs: Annotated[int, typer.Option(min=1)] = 5,
    batch_size: Annotated[int, typer.Option(min=1)] = 128,
    backend: BackendOption = None,
    devices: Annotated[
        int,
        typer.Option(
            min=1,
            help="GPUs, or simulated ones on a CPU, that share each batch; it stays --batch-size.",
        ),
    ] = 1,
    precision: Annotated[Precision, typer.Option()] = "float32",
    seed: Annotated[int, typer.Option(min=0, help="Fixes weights, order and dropout.")] = 0,
    folder: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for the results; default: runs/DATA-CONV."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue a stopped run from its last epoch.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the run that the folder holds.")
    ] = False,
    debug: DebugOption = False,
) -> None:
    """Train the digit classifier with a convolution, and beside it with a plain one."""
    folder = folder or Path("runs") / f"{Path(data).stem}-{conv}"
    settings = Settings(data, conv, epochs, batch_size, precision, seed, folder, devices)
    name = backends.select(backend)
    with out.status(f"Starting {name}"):
        backends.start(debug=debug)
        from convsmith.training import run
    results = run.train(settings, Bar(out), resume=resume, overwrite=overwrite)
    _print_table(results, name, settings)
    for note in results.notes:
        out.print(note)
    out.print(f"\nWritten to [bold]{settings.out}[/]:")
    width = max(len(path.name) for path in results.files.values())
    for what, path in results.files.items():
        out.print(f"  {path.name:{width}}  {what}")


def _print_table(results: Results, backend: str, settings: Settings) -> None:
    table = Table(
        title=f"{settings.data} on {backend}, {settings.precision}, "
        f"{settings.epochs} epochs, batch {settings.batch_size}"
        + (f", {settings.devices} devices" if settings.devices > 1 else ""),
        title_justify="left",
        title_style="bold",
    )
    table.add_column("convolution")
    for heading in ("test accuracy", "test loss", "ms per step", "parameters"):
        table.add_column(heading, justify="right")
    for row in results.summaries:
        beside = " (baseline)" if row.conv == BASELINE and len(results.summaries) > 1 else ""
        table.add_row(
            f"{row.conv}{beside}",
            f"{row.accuracy:.2%}",
            f"{row.loss:.4f}",
            f"{row.milliseconds_per_step:.1f}",
            f"{row.parameters:,}",
        )
    out.print()
    out.print(table)
