"""`convsmith fold`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from convsmith.cli import backends
from convsmith.cli.app import BackendOption, DebugOption, app, out
from convsmith.errors import ArgumentError, compose
from convsmith.files import replacing


@app.command()
def fold(
    model: Annotated[Path, typer.Argument(help="A .keras file.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The .keras file to write.", show_default=False)
    ],
    tolerance: Annotated[
        float | None,
        typer.Option(
            help="How far outputs may differ, relative to the largest one; default: 1e-4, more "
            "where the model computes in half precision."
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an old output.")] = False,
    backend: BackendOption = None,
    debug: DebugOption = False,
) -> None:
    """Compute once what is constant at inference: the model becomes plain Keras layers."""
    _check_output(model, output, overwrite=overwrite)
    name = backends.select(backend)
    with out.status(f"Starting {name}"):
        backends.start(debug=debug)
        from convsmith.models import loading
        from convsmith.models.folding import fold as folded
    with out.status(f"Folding {model}"):
        result, report = folded(loading.load(model), tolerance=tolerance, return_report=True)
        with replacing(output) as temporary:
            result.save(temporary)
    if report.folds:
        out.print(report.table())
    out.print(f"{report.summary}\nWritten: {output}", soft_wrap=True, markup=False)


def _check_output(model: Path, output: Path, *, overwrite: bool) -> None:
    problem, expected, fix = "", "a new file", "--overwrite"
    if output.suffix != ".keras":
        problem, expected, fix = "isn't a .keras file", "a name that ends in .keras", "-o F.keras"
    elif output.resolve() == model.resolve() or (output.exists() and output.samefile(model)):
        problem, expected = "is the input", "another file"
        fix = f"-o {output.with_stem(f'{output.stem}_folded')}"
    elif output.is_dir() or not output.parent.is_dir():
        problem, expected = "there is no such folder", "a file in a folder that exists"
        fix = f"mkdir -p {output.parent}"
        if output.is_dir():
            problem, fix = "is a folder", f"-o {output / 'folded.keras'}"
    elif output.exists() and not overwrite:
        problem = "exists"
    if problem:
        raise ArgumentError(
            compose(f"--output {output}", problem, expected=expected, fix=fix),
            argument="output",
            value=output,
        )
