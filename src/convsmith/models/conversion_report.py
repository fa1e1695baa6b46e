"""What a conversion changed, and what that costs."""

from __future__ import annotations

from dataclasses import dataclass
from io import StringIO
from typing import Any


@dataclass(frozen=True)
class LayerChange:
    """What took the place of one layer.

    Attributes:
        name: the names of the models around the layer and its own, joined by ``/``.
        before: its class.
        after: the classes of the layers in its place.
        parameters: how many it had, and they have.
        macs: the multiply-adds of one sample, before and after; None where they aren't known.
        note: what else there is to say.
    """

    name: str
    before: str
    after: str
    parameters: tuple[int, int]
    macs: tuple[int | None, int | None]
    note: str = ""


@dataclass(frozen=True)
class ConversionReport:
    """What `convsmith.models.convert` did: prints as a table.

    Attributes:
        changes: one entry for each layer that was replaced.
        kept: the layers that a rule was about and that stayed, with the reasons.
        parameters: of the whole model, before and after.
        macs: of the whole model for one sample of `input_shapes`; None where a layer's aren't
            known.
        input_shapes: what multiply-adds and difference were found with, unknown sizes filled in.
        max_difference: the largest difference between outputs of the two models on random inputs;
            None where they couldn't be compared.
        output_scale: the largest absolute output of the old model on them.
        notes: what else changed, or isn't there any more.
    """

    changes: tuple[LayerChange, ...]
    kept: tuple[tuple[str, str], ...]
    parameters: tuple[int, int]
    macs: tuple[int | None, int | None]
    input_shapes: tuple[tuple[int, ...], ...]
    max_difference: float | None
    output_scale: float | None
    notes: tuple[str, ...] = ()

    @property
    def relative_difference(self) -> float | None:
        """The largest difference as a share of the largest output."""
        if self.max_difference is None or not self.output_scale:
            return self.max_difference
        return self.max_difference / self.output_scale

    def __rich__(self) -> Any:
        """Return what `rich` prints: a table of the changes, then the totals."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False)
        for heading in ("layer", "before", "after"):
            table.add_column(heading, overflow="fold")
        for heading in ("parameters", "multiply-adds"):
            table.add_column(heading, justify="right")
        table.add_column("", overflow="fold")
        for change in self.changes:
            cells = (
                change.name,
                change.before,
                change.after,
                _both(change.parameters),
                _both(change.macs),
                change.note,
            )
            table.add_row(*map(Text, cells))
        lines = [Text(line, overflow="fold") for line in self._lines()]
        return Group(*([table, Text()] if self.changes else []), *lines)

    def __str__(self) -> str:
        from rich.console import Console

        text = StringIO()
        Console(file=text, width=120, highlight=False, color_system=None).print(self)
        return "\n".join(line.rstrip() for line in text.getvalue().splitlines())

    def _lines(self) -> list[str]:
        shapes = ", ".join(map(str, self.input_shapes))
        lines = [
            f"{len(self.changes)} {'layer' if len(self.changes) == 1 else 'layers'} replaced",
            f"parameters: {_both(self.parameters)}",
            f"multiply-adds: {_both(self.macs)} for {shapes}",
        ]
        if self.max_difference is not None:
            scale = f" of outputs up to {self.output_scale:.3g}" if self.output_scale else ""
            lines.append(f"largest difference on random inputs: {self.max_difference:.3g}{scale}")
        reasons: dict[str, list[str]] = {}
        for name, reason in self.kept:
            reasons.setdefault(reason, []).append(name)
        for reason, names in reasons.items():
            shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if names[4:] else "")
            lines.append(f"kept {shown}: {reason}")
        return [*lines, *self.notes]


def _both(numbers: tuple[int | None, int | None]) -> str:
    before, after = ("unknown" if n is None else f"{n:,}" for n in numbers)
    return before if before == after else f"{before} -> {after}"
