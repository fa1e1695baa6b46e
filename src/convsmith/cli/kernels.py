"""`convsmith kernels` and `convsmith kernels show`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from convsmith.cli.app import DebugOption, app, out
from convsmith.cli.importing import ImportOption, import_modules
from convsmith.cli.kernel_text import size, tidy, values

if TYPE_CHECKING:
    import numpy as np

commands = typer.Typer(
    name="kernels",
    help="List the kernels that have names, or show one.",
    invoke_without_command=True,
)
app.add_typer(commands)

FREQUENCIES = (0.0, 0.125, 0.25, 0.5)
"""In cycles per pixel; the last is the finest wave that pixels can show."""

AXES = {1: ("x",), 2: ("y", "x"), 3: ("z", "y", "x")}


@commands.callback()
def kernels(
    context: typer.Context,
    plot: Annotated[
        Path | None, typer.Option(help="Draw all of them on a sheet: a PNG file.")
    ] = None,
    modules: ImportOption = None,
    debug: DebugOption = False,
) -> None:
    """List the kernels that have names: size, sum, products of lines, and what they are."""
    import_modules(modules)
    if context.invoked_subcommand is not None:
        return
    from convsmith import kernels

    found = {name: _asked(name) for name in kernels.names()}
    if plot is not None:
        from convsmith import plots
        from convsmith.files import replacing

        sheet = {name: _parts(array, rank) for name, (array, rank) in found.items()}
        with replacing(plot) as temporary:
            plots.save_sheet(temporary, sheet)
        out.print(Text(str(plot)), soft_wrap=True)
        return
    table = Table(box=None, pad_edge=False)
    # Names are what is asked for next: narrow terminals break the rest.
    table.add_column("name", no_wrap=True, min_width=max(map(len, found)))
    table.add_column("size")
    table.add_column("sum", justify="right")
    table.add_column("dims", justify="right")
    table.add_column("what it is", ratio=1)
    for name, (array, rank) in found.items():
        entry = kernels.describe(name)
        bank = array.ndim > rank
        ndims = list(entry.ndims) or [rank]
        table.add_row(
            Text(name, style="bold"),
            size(array, rank),
            "" if bank else f"{tidy(float(array.sum())):.4g}",
            f"{ndims[0]}-{ndims[-1]}" if len(ndims) > 1 else str(ndims[0]),
            Text(_plain(entry.summary)),
        )
    out.print(table)
    out.print("\nconvsmith kernels show NAME has the values, and the arguments with defaults.")


@commands.command()
def show(
    name: Annotated[str, typer.Argument(help="A name, a name with arguments, FILE.npy or rows.")],
    ndim: Annotated[
        int | None, typer.Option(min=1, max=3, help="Number of axes; default: 2 where possible.")
    ] = None,
    index: Annotated[int | None, typer.Option(min=0, help="Which filter of a bank.")] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw it and its frequency response: a PNG file.")
    ] = None,
    modules: ImportOption = None,
    debug: DebugOption = False,
) -> None:
    """Show a kernel: values, sum, products of lines, frequency response and source."""
    from convsmith import kernels

    import_modules(modules)
    array, rank = _asked(name, ndim)
    plain = name.split("(")[0].strip()
    known = kernels.describe(plain) if plain in kernels.names() else None
    if known:
        out.print(Text(f"{plain}{known.parameters}", style="bold"))
        out.print(_plain(known.summary), markup=False)
    filters = [array] if array.ndim == rank else [array[..., i] for i in range(array.shape[-1])]
    if index is not None:
        filters = [_chosen(filters, index)]
    out.print()
    if len(filters) > 1:
        out.print(f"{size(array, rank)}; --index shows the values of one")
        _print_bank(filters)
    else:
        _print_one(filters[0])
    if known and known.gain:
        out.print(f"\ngain: {known.gain}", markup=False)
    if known and known.source:
        out.print(f"source: {known.source}", markup=False)
    if plot is not None:
        _plot(plot, name, filters)
        out.print(Text(str(plot)), soft_wrap=True)


def _asked(text: str, ndim: int | None = None) -> tuple[np.ndarray, int]:
    """Return a kernel, and how many of its axes are spatial."""
    import numpy as np

    from convsmith import kernels
    from convsmith.cli.kernel_text import kernel_of
    from convsmith.errors import ArgumentError

    given = kernel_of(text)
    if not isinstance(given, str):
        array = np.asarray(given)
        return array, ndim or min(array.ndim, 3)
    problem: Exception | None = None
    for rank in (ndim,) if ndim else (2, 3, 1):
        try:
            array = kernels.get(given, ndim=rank)
        except ArgumentError as error:
            problem = problem or error  # The name may say its number of axes itself.
        else:
            return array, min(rank, array.ndim)
    assert problem is not None
    raise problem


def _chosen(filters: list[Any], index: int) -> Any:
    from convsmith.errors import ArgumentError, compose

    if index >= len(filters):
        raise ArgumentError(
            compose(
                f"--index {index}",
                f"is not one of {len(filters)} filters",
                expected=f"0 to {len(filters) - 1}",
                fix="--index 0",
            ),
            argument="index",
            value=index,
        )
    return filters[index]


def _print_one(kernel: np.ndarray) -> None:
    import numpy as np

    if not np.isfinite(kernel).all():
        out.print(
            f"{size(kernel, kernel.ndim)}, for max-plus convolutions, "
            "which never choose infinite entries"
        )
        out.print(values(kernel), markup=False, soft_wrap=True)
        return
    out.print(
        f"{size(kernel, kernel.ndim)}, sum {tidy(float(kernel.sum())):.6g}, "
        f"sum of absolute values {float(np.abs(kernel).sum()):.6g}, "
        f"norm {float(np.sqrt((kernel**2).sum())):.6g}",
        soft_wrap=True,
    )
    out.print(values(kernel), markup=False, soft_wrap=True)
    out.print()
    _print_lines(kernel)
    _print_response(kernel)


def _print_lines(kernel: np.ndarray) -> None:
    import numpy as np

    from convsmith import kernels

    if kernel.ndim < 2:
        return
    factors = kernels.separate(kernel)
    terms = factors[0].shape[1]
    if terms > 1:
        cost = terms * sum(kernel.shape)
        verb = "fewer" if cost < kernel.size else "no fewer"
        out.print(f"sum of {terms} products of lines: {verb} multiplications ({cost} for ", end="")
        out.print(f"{kernel.size})")
        return
    out.print(f"product of lines: {sum(kernel.shape)} multiplications for {kernel.size}")
    for axis, factor in zip(AXES.get(kernel.ndim, ()), factors, strict=False):
        line = factor[:, 0] / (np.abs(factor[:, 0]).max() or 1.0)
        out.print(
            f"  along {axis}: {values(line)}".replace("\n", " "), markup=False, soft_wrap=True
        )


def _print_response(kernel: np.ndarray) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("gain at cycles per pixel")
    for frequency in FREQUENCIES:
        table.add_column(f"{frequency:g}", justify="right")
    for axis, name in enumerate(AXES.get(kernel.ndim, ())):
        gains = _gains(kernel, axis)
        table.add_row(f"  along {name}", *(f"{tidy(gain):.4g}" for gain in gains))
    out.print(table)


def _gains(kernel: np.ndarray, axis: int) -> list[float]:
    """Return the gains of waves along one axis."""
    import numpy as np

    from convsmith import kernels

    waves = tuple([*FREQUENCIES] if a == axis else [0.0] for a in range(kernel.ndim))
    response = kernels.frequency_response(kernel, waves).response
    return [float(gain) for gain in np.abs(response).ravel()]


def _print_bank(filters: list[Any]) -> None:
    import numpy as np

    from convsmith import kernels

    table = Table(box=None, pad_edge=False)
    for heading in ("filter", "sum", "norm", "products of lines"):
        table.add_column(heading, justify="right")
    for axis in AXES.get(filters[0].ndim, ()):
        table.add_column(f"gain at 1/4 along {axis}", justify="right")
    for index, kernel in enumerate(filters):
        gains = [_gains(kernel, axis)[FREQUENCIES.index(0.25)] for axis in range(kernel.ndim)]
        table.add_row(
            str(index),
            f"{tidy(float(kernel.sum())):.4g}",
            f"{float(np.sqrt((kernel**2).sum())):.4g}",
            str(kernels.separate(kernel)[0].shape[1]) if kernel.ndim > 1 else "",
            *(f"{tidy(gain):.4g}" for gain in gains),
        )
    out.print(table)


def _plot(path: Path, name: str, filters: list[Any]) -> None:
    import numpy as np

    from convsmith import kernels, plots
    from convsmith.files import replacing

    parts = np.concatenate([_parts(kernel, kernel.ndim) for kernel in filters])
    responses = np.stack([np.abs(kernels.frequency_response(p, ndim=2).response) for p in parts])
    with replacing(path) as temporary:
        plots.save_kernel(temporary, name, parts, responses)


def _parts(array: np.ndarray, rank: int) -> np.ndarray:
    """Return all filters and slices as (parts, rows, columns)."""
    import numpy as np

    bank = np.moveaxis(array, -1, 0) if array.ndim > rank else array[None]
    if not np.isfinite(bank).all() or not bank.any():  # Morphology's: the window is shown.
        bank = np.isfinite(bank).astype(float)
    spatial = (1,) * max(0, 2 - rank) + bank.shape[1:]
    return bank.reshape(-1, *spatial[-2:])


def _plain(summary: str) -> str:
    text = summary.removeprefix("Return ").replace("``", "")
    return text[:1].upper() + text[1:]
