"""`convsmith export`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.text import Text

from convsmith.cli import backends
from convsmith.cli.app import BackendOption, DebugOption, app, out

if TYPE_CHECKING:
    from convsmith.models.formats import Format

FormatOption = Literal["keras", "saved_model", "onnx", "litert", "torch"]
CALIBRATION_SAMPLES = 200


@app.command()
def export(
    model: Annotated[Path, typer.Argument(help="A .keras file.")],
    output: Annotated[
        Path,
        typer.Option(
            "--out", "-o", help="NAME.onnx, NAME.tflite, NAME.pt2, NAME.keras, or a folder."
        ),
    ],
    form: Annotated[
        FormatOption | None,
        typer.Option("--format", help="Default: what the name says; a folder is a SavedModel."),
    ] = None,
    quantize: Annotated[
        Literal["float16", "int8"] | None,
        typer.Option(help="Smaller numbers, for ONNX and LiteRT."),
    ] = None,
    calibration: Annotated[
        str | None,
        typer.Option(
            help="For int8: inputs in FILE.npy or FILE.npz, or data as for --evaluate, whose "
            "first training images are taken."
        ),
    ] = None,
    evaluate: Annotated[
        str | None,
        typer.Option(
            help="Data for the accuracy before and after: mini, mnist, FILE.npz or a FOLDER, as "
            "in `convsmith train`."
        ),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(min=0.0, help="Largest difference, as a part of the largest output."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what is there already.")
    ] = False,
    backend: BackendOption = None,
    debug: DebugOption = False,
) -> None:
    """Write a model for another runtime: folded, run there and compared before it gets its name."""
    from convsmith.errors import ArgumentError, compose
    from convsmith.models import formats

    found = formats.find(form, output)
    formats.check_installed(found)
    if output.exists() and not overwrite:
        raise ArgumentError(
            compose(str(output), "is there already", fix="another -o, or --overwrite"),
            argument="out",
            value=output,
        )
    name = backends.select(_backend(backend, found))
    with out.status(f"Starting {name}"):
        backends.start(debug=debug)
        from convsmith.models.loading import load
    with out.status(f"Exporting to {found.name}"), backends.quiet(debug=debug):
        from convsmith.models.exporting import export

        report = export(
            load(model),
            output,
            format=found.name,
            quantize=quantize,
            calibration=_calibration(calibration),
            evaluation=_evaluation(evaluate),
            tolerance=tolerance,
            overwrite=overwrite,
        )
    out.print(Text(str(report)), soft_wrap=True)


def _backend(option: str | None, form: Format) -> str | None:
    """Return the backend that writes the format, unless another was asked for."""
    return option or (None if os.environ.get("KERAS_BACKEND") else form.backend)


def _calibration(source: str | None) -> Any:
    """Return inputs as they are, or training images as `convsmith train` scales them."""
    from convsmith.models.samples import holds, read_samples
    from convsmith.training import datasets

    if source is None:
        return None
    path = Path(source)
    if source in ("mini", "mnist") or path.is_dir() or holds(path, "x_train"):
        return datasets.load(source).x_train[:CALIBRATION_SAMPLES]
    return read_samples(path)


def _evaluation(source: str | None) -> tuple[Any, Any] | None:
    if source is None:
        return None
    from convsmith.training import datasets

    data = datasets.load(source)
    return data.x_test, data.y_test
