"""`convsmith filter`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.text import Text

from convsmith.cli.app import DebugOption, app, err, out
from convsmith.cli.failures import SOME_FAILED
from convsmith.cli.importing import ImportOption, import_modules

if TYPE_CHECKING:
    from convsmith.images.batch import Outcome, Settings
    from convsmith.images.naming import Pair
    from convsmith.images.treatment import Treatment

Convention = Literal["opencv", "scipy", "skimage", "kornia"]
Method = Literal["direct", "separable", "running", "fourier"]


HELP = (
    "Filter pictures, stacks and images larger than memory.\n\n"
    "Bit depth, alpha, EXIF and colour profile are kept; the alpha isn't filtered. Pictures that "
    "are stored turned are filtered as they are seen (sobel_x finds upright edges) and stored "
    "turned again, with the same orientation.\n\n"
    ".npy, Zarr and large TIFF files are filtered part by part in little memory, and get their "
    "name when they are complete.\n\n"
    "Exit codes: 0 all done; 2 the request can't be met; 3 some of several files failed, which "
    "are listed at the end."
)


@app.command("filter", help=HELP)
def filter_(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="IN...", help="Pictures, .npy files, Zarr folders, folders of them, patterns."
        ),
    ],
    kernel: Annotated[
        list[str],
        typer.Option(
            "--kernel",
            "-k",
            help="NAME, 'name(args)', FILE.npy or '[[...]]'; several make up a bank. "
            "`convsmith kernels` lists the names.",
        ),
    ],
    output: Annotated[
        str,
        typer.Option("--out", "-o", help="The result's file; a folder for several or a folder."),
    ],
    gray: Annotated[
        bool, typer.Option("--gray", help="Turn colours to grey levels first.")
    ] = False,
    magnitude: Annotated[
        bool,
        typer.Option(
            "--magnitude", help="Root of the sum of a bank's squares: -k sobel_x -k sobel_y."
        ),
    ] = False,
    absolute: Annotated[
        bool, typer.Option("--absolute", help="Absolute values, so that slopes down show too.")
    ] = False,
    padding_mode: Annotated[
        str | None,
        typer.Option(
            help="Beyond the edges: reflect (default), symmetric, edge, wrap, constant, "
            "renormalize; one for each axis with commas; with --convention, that library's words."
        ),
    ] = None,
    padding_value: Annotated[
        float | None, typer.Option(help="What `constant` fills with; default 0.")
    ] = None,
    convention: Annotated[
        Convention | None,
        typer.Option(help="Edges, words and rounding of another library."),
    ] = None,
    flip: Annotated[
        bool, typer.Option("--flip", help="Turn the kernel around: a true convolution.")
    ] = False,
    dtype: Annotated[
        str | None,
        typer.Option(help="Of the result, such as float32 or int16; default: the input's."),
    ] = None,
    axes: Annotated[
        str | None,
        typer.Option(help="Which axes of arrays are filtered: 1,2; default: rows and columns."),
    ] = None,
    method: Annotated[Method | None, typer.Option(help="Instead of the fastest.")] = None,
    form: Annotated[
        str | None, typer.Option("--format", help="Suffix of results in a folder: png, tif, ...")
    ] = None,
    quality: Annotated[int, typer.Option(min=1, max=100, help="Of JPEG and WebP results.")] = 95,
    compression: Annotated[
        str | None,
        typer.Option(
            help="Of TIFF results: none, zlib, lzma, lzw, zstd; default: as the input is."
        ),
    ] = None,
    compare: Annotated[
        bool,
        typer.Option("--compare", help="Also write NAME-compare.png: before and after."),
    ] = False,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            "-j",
            min=1,
            help="Files or tiles at a time; default: as many as keep the machine busy.",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace results that are there.")
    ] = False,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Keep results that are there; continue half-done ones."),
    ] = False,
    modules: ImportOption = None,
    debug: DebugOption = False,
) -> None:
    """Filter files to files; HELP is what the command says of itself."""
    from convsmith.cli.kernel_text import kernel_of
    from convsmith.images.batch import Settings
    from convsmith.images.compression import for_tiff
    from convsmith.images.naming import pairs
    from convsmith.images.treatment import Treatment

    import_modules(modules)
    kernels = [kernel_of(text) for text in kernel]
    options: dict[str, Any] = {
        "padding_mode": _modes(padding_mode),
        "padding_value": padding_value,
        "convention": convention,
        "flip": flip,
        "method": method,
    }
    given = {name: value for name, value in options.items() if value not in (None, False)}
    one = kernels[0] if len(kernels) == 1 else kernels
    treatment = Treatment(one, given, gray, magnitude, absolute, dtype)
    chosen = _axes(axes)
    _check(treatment, chosen)
    settings = Settings(
        treatment, chosen, quality, compare, " and ".join(kernel), overwrite, resume, jobs,
        compression,
    )  # fmt: skip
    wanted = pairs(inputs, output, form=form)
    for pair in wanted:
        for_tiff(compression, pair.out)
    _check_outputs(wanted, settings)
    outcome = _run(wanted, settings)
    if outcome.done:
        _hint(treatment, wanted)
    _finish(outcome, wanted, output, debug)


def _modes(text: str | None) -> Any:
    if text is None or "," not in text:
        return text
    return tuple(part.strip() for part in text.split(","))


def _axes(text: str | None) -> tuple[int, ...] | None:
    from convsmith.errors import ArgumentError, compose

    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise ArgumentError(
            compose(
                f"--axes {text}",
                "is not a list of axes",
                expected="whole numbers",
                fix="--axes 1,2",
            ),
            argument="axes",
            value=text,
        ) from error


def _check(treatment: Treatment, axes: tuple[int, ...] | None) -> None:
    """Refuse what no file could make right, before any is touched."""
    import numpy as np

    from convsmith.images.parts import recipe
    from convsmith.images.requests import checked_target

    kernel = treatment.kernel[0] if isinstance(treatment.kernel, list) else treatment.kernel
    rank = len(axes) if axes else 1 if not isinstance(kernel, str) and np.ndim(kernel) == 1 else 2
    if treatment.dtype is not None:
        checked_target(treatment.dtype, np.empty(0, "float32"))
    recipe((8,) * rank, "float32", treatment.kernel, **treatment.options)


def _check_outputs(wanted: list[Pair], settings: Settings) -> None:
    from convsmith.errors import ArgumentError, compose

    there = [pair for pair in wanted if pair.out.exists()]
    if not there or settings.overwrite or settings.resume:
        return
    inputs = {pair.path.resolve() for pair in wanted}
    itself = next((pair for pair in there if pair.out.resolve() in inputs), None)
    count = f"{there[0].out}" if len(wanted) == 1 else f"{len(there)} of {len(wanted)} results"
    verb = "is" if len(there) == 1 else "are"
    problem = f"{verb} there already"
    if itself is not None:
        count, problem = str(itself.out), "is an input"
    raise ArgumentError(
        compose(
            count,
            problem,
            fix="another -o, or --overwrite"
            + ("" if itself is not None or len(wanted) == 1 else ", or --resume to keep them"),
        ),
        argument="out",
    )


def _hint(treatment: Treatment, wanted: list[Pair]) -> None:
    """Say that slopes down are lost in unsigned pixels, where the result could show them."""
    pictures = [p for p in wanted if p.out.suffix.lower() not in (".npy", ".zarr")]
    if pictures and treatment.dtype is None and treatment.loses_signs("uint8"):
        err.print(
            "note: this kernel adds up to 0, so that about half of its results are negative, which "
            "unsigned pixels can't hold: they become 0. Try: --absolute, --magnitude, or "
            "--dtype float32 and a .tif file."
        )


def _run(wanted: list[Pair], settings: Settings) -> Outcome:
    from convsmith.cli.counting import Bars
    from convsmith.images.batch import filter_files

    with Bars(err) as bars:
        return filter_files(wanted, settings, bars.report)


def _finish(outcome: Outcome, wanted: list[Pair], output: str, debug: bool) -> None:
    """Say what was done, and what failed."""
    from convsmith.errors import ConvsmithError

    if len(wanted) == 1 and outcome.failed:
        raise outcome.failed[0][1]
    kept = f"; {outcome.kept} were there already" if outcome.kept else ""
    place = wanted[0].out if len(wanted) == 1 else output
    count = "" if len(wanted) == 1 else f"{outcome.done} of {len(wanted)} images: "
    out.print(Text(f"{count}{place}{kept}"), soft_wrap=True)
    if not outcome.failed:
        return
    for path, error in sorted(outcome.failed, key=lambda entry: entry[0]):
        known = isinstance(error, ConvsmithError | OSError)
        reason = " ".join((str(error) if known else f"{type(error).__name__}: {error}").split())
        where = "" if str(path) in reason else f"{path}: "
        err.print(Text("failed: ", style="bold red") + Text(f"{where}{reason}", style="default"))
        if debug:
            err.print("".join(_lines(error)), markup=False)
    raise typer.Exit(SOME_FAILED)


def _lines(error: Exception) -> list[str]:
    import traceback

    return traceback.format_exception(error)
