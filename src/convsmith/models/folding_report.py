"""What folding did to each layer, in numbers and as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table


@dataclass
class Fold:
    """What became of one layer.

    `path` is the layer's name behind those of the nested models that it is in; `kept` the reason
    why a layer stays as it is, or stays one of convsmith's; `macs` are multiply-adds for one
    sample, None where they depend on sizes that aren't known.
    """

    path: str
    layer: str
    result: str
    kept: str = ""
    parameters_before: int = 0
    parameters_after: int = 0
    macs_before: int | None = 0
    macs_after: int | None = 0


@dataclass
class FoldReport:
    """What became of each layer that folding changed, or that it had to keep.

    `difference` is the largest one between the outputs of both models, relative to the largest
    output; `shapes` those of the inputs on which it was found.
    """

    folds: list[Fold] = field(default_factory=list)
    parameters_before: int = 0
    parameters_after: int = 0
    difference: float = 0.0
    tolerance: float = 0.0
    shapes: list[tuple[int, ...]] = field(default_factory=list)

    @property
    def kept(self) -> dict[str, str]:
        """The layers that no standard layers replace, with the reasons."""
        return {fold.path: fold.kept for fold in self.folds if fold.kept}

    @property
    def macs(self) -> tuple[int | None, int | None]:
        """Multiply-adds of the listed layers, before and after."""
        return _sum([f.macs_before for f in self.folds]), _sum([f.macs_after for f in self.folds])

    def __str__(self) -> str:
        lines = []
        for fold in self.folds:
            kept = f" (kept: {fold.kept})" if fold.kept else ""
            lines.append(f"{fold.path}: {fold.layer} -> {fold.result}{kept}")
        return "\n".join([*lines, self.summary])

    @property
    def summary(self) -> str:
        """One line: parameters, multiply-adds and the difference."""
        before, after = self.macs
        shapes = ", ".join("x".join(map(str, shape)) for shape in self.shapes)
        return (
            f"{len(self.folds)} layers listed, {len(self.kept)} kept. Parameters "
            f"{self.parameters_before:,} -> {self.parameters_after:,}, multiply-adds of listed "
            f"layers {amount(before)} -> {amount(after)}. Largest difference "
            f"{self.difference:.1e} of the largest output (at most {self.tolerance:.0e} allowed), "
            f"on inputs {shapes}."
        )

    def table(self) -> Table:
        """Return the table that the command prints."""
        from rich.table import Table
        from rich.text import Text

        table = Table("layer", "was", "is", box=None, pad_edge=False)
        for title in ("parameters", "multiply-adds"):
            table.add_column(title, justify="right", no_wrap=True)
        table.add_column("kept because", overflow="fold")
        for fold in self.folds:
            table.add_row(
                Text(fold.path, overflow="fold"),
                fold.layer,
                Text(fold.result, overflow="fold"),
                _change(fold.parameters_before, fold.parameters_after),
                _change(fold.macs_before, fold.macs_after),
                Text(fold.kept, overflow="fold"),
            )
        return table


def multiplications(weights: Sequence[Sequence[int]], positions: int | None) -> int | None:
    """Return the multiply-adds of kernels of these shapes at as many positions."""
    if positions is None:
        return None
    return positions * sum(prod(shape) for shape in weights if len(shape) > 1)


def positions(shape: Sequence[int | None], channel_axis: int | None) -> int | None:
    """Return how many vectors of channels there are in one sample of a shape."""
    sizes = [n for axis, n in enumerate(shape) if axis not in (0, channel_axis)]
    return None if None in sizes else prod(n for n in sizes if n is not None)


def amount(count: int | None) -> str:
    """Return a count for people, a question mark for None."""
    return "?" if count is None else f"{count:,}"


def _change(before: int | None, after: int | None) -> str:
    return amount(before) if before == after else f"{amount(before)} -> {amount(after)}"


def _sum(counts: Sequence[int | None]) -> int | None:
    return None if None in counts else sum(n for n in counts if n is not None)


def classes(layers: Sequence[Any]) -> str:
    """Return what layers are, in order: `ZeroPadding2D, Conv2D`."""
    return ", ".join(
        "operations" if hasattr(one, "operations") else type(one).__name__ for one in layers
    )
