"""`convsmith convert`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from convsmith.cli import backends
from convsmith.cli.app import BackendOption, DebugOption, app, out


@app.command()
def convert(
    model: Annotated[Path, typer.Argument(help="A .keras file.")],
    target: Annotated[Path, typer.Option("-o", "--out", help="The .keras file to write.")],
    rule: Annotated[
        list[str] | None,
        typer.Option(
            "--rule",
            help="WHICH=WHAT, several times: a class or a pattern of layer names, and the layer of "
            "convsmith that takes the place: Conv2D=StandardizedConv2D, 'block3_*=DropIn'.",
        ),
    ] = None,
    padding_mode: Annotated[
        str | None,
        typer.Option(
            help="Beyond the edges, where a convolution pads: reflect, symmetric, edge, wrap, "
            "constant or renormalize."
        ),
    ] = None,
    blur_pool: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="TAPS", help="Strided convolutions get stride 1 and this blur: 3."
        ),
    ] = None,
    low_rank: Annotated[
        str | None,
        typer.Option(
            metavar="METHOD:RANK",
            help="Dense kernels as products of smaller ones: tucker:8, tucker:8,16 or cp:16.",
        ),
    ] = None,
    group_norm: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="GROUPS",
            help="Standardised kernels and group instead of batch normalisation: 32.",
        ),
    ] = None,
    except_first: Annotated[
        bool, typer.Option("--except-first", help="Keep the model's first convolution.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the file to write if it's there.")
    ] = False,
    backend: BackendOption = None,
    debug: DebugOption = False,
) -> None:
    """Put other convolutions in the place of a model's, with its weights."""
    _check_target(target, overwrite)
    name = backends.select(backend)
    with out.status(f"Starting {name}"):
        backends.start(debug=debug)
        from convsmith import models
        from convsmith.models.rules.written import written_rules
        from convsmith.training import model_file
    rules = written_rules(
        rule or (),
        padding_mode=padding_mode,
        blur_pool=blur_pool,
        low_rank=low_rank,
        group_norm=group_norm,
    )
    with out.status("Converting"):
        old, extras = model_file.load(model)
        new, report = models.convert(old, rules, except_first=except_first)
        model_file.save(target, new, extras)
    out.print(report)
    out.print(f"\nWritten to {target}", soft_wrap=True)


def _check_target(target: Path, overwrite: bool) -> None:
    from convsmith.errors import ArgumentError, compose

    problem, fix = "", ""
    if target.suffix != ".keras":
        problem, fix = "isn't a .keras file", f"-o {target.with_suffix('.keras')}"
    elif not target.parent.is_dir():
        problem, fix = f"the folder {target.parent} isn't there", f"mkdir {target.parent}"
    elif target.exists() and not overwrite:
        problem, fix = "is there already", "another -o, or --overwrite"
    if problem:
        raise ArgumentError(compose(str(target), problem, fix=fix), argument="out", value=target)
