"""What the examples share: their arguments, their curves, and the writing of their pictures."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from convsmith import plots
from convsmith.files import replacing


def read_options(
    description: str | None, arguments: Sequence[str] | None, epochs: int
) -> argparse.Namespace:
    """Return epochs, out, seed and quick, and seed all that draws random numbers.

    Args:
        description: The example's docstring.
        arguments: The words of the command line; None stands for those of the process.
        epochs: How many there are unless the arguments say so.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=_count, help=f"passes over the data (default: {epochs})")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("runs/examples"),
        help="folder for the picture (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of all random numbers (default: 0)")
    parser.add_argument(
        "--quick", action="store_true", help="one epoch on little data: runs, and learns little"
    )
    options = parser.parse_args(arguments)
    if options.epochs is None:
        options.epochs = 1 if options.quick else epochs
    keras.utils.set_random_seed(options.seed)
    return options


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is too few; expected 1 or more")
    return number


def draw_curves(axes: Any, title: str, curves: Mapping[str, Sequence[float]]) -> None:
    """Draw a curve by epoch for each name."""
    for colour, (name, values) in zip(plots.COLOURS, curves.items(), strict=False):
        axes.plot(range(1, len(values) + 1), values, "o-", color=colour, label=name)
    plots.style_axes(axes, title)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("epoch")
    axes.legend(frameon=False)


def save_picture(figure: Any, path: Path) -> None:
    """Write a figure, whole or not at all, and say where."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=90)
    print(f"picture: {path}")
