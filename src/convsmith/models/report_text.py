"""An explanation as text: a table as wide as the terminal, patterns, and warnings."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from io import StringIO
from typing import NamedTuple

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from convsmith.models.report import AxisField, Explanation, LayerReport, amount, shape_text

MOST_NAMED = 4
"""Layers of which a pattern or warning is shown with the names."""


class _Column(NamedTuple):
    """A column of the table; `width` is the narrowest terminal that has room for it."""

    title: str
    text: Callable[[LayerReport], str]
    right: bool
    width: int


COLUMNS = (
    _Column("layer", lambda r: r.name, False, 0),
    _Column("kind", lambda r: r.kind, False, 110),
    _Column("output", lambda r: ", ".join(shape_text(s[1:]) for s in r.output_shapes), False, 0),
    _Column("parameters", lambda r: amount(r.parameters), True, 60),
    _Column("MACs", lambda r: amount(r.macs), True, 0),
    _Column("share", lambda r: percent(r.share), True, 0),
    _Column("bytes", lambda r: amount(r.bytes, "B"), True, 120),
    _Column("FLOP/B", lambda r: intensity_text(r), True, 100),
    _Column("field", lambda r: field_text(r.receptive_field), True, 80),
    _Column("effective", lambda r: effective_text(r.receptive_field), True, 100),
    _Column("lowering", lambda r: r.lowering, False, 100),
)


def text(explanation: Explanation) -> str:
    """Return the table, the patterns of the layers and the warnings."""
    console = _console()
    one = explanation
    inputs = ", ".join(map(shape_text, one.inputs))
    console.print(
        Text(f"{one.name}: input {inputs}; {one.backend}, {one.mode}, {one.device}"), soft_wrap=True
    )
    console.print(_table(one, console.width))
    patterns = _grouped((p, r.name) for r in one.layers for p in r.patterns)
    if patterns:
        console.print("\npatterns")
    for pattern, names in patterns.items():
        console.print(_indented(f"{pattern}   ({_named(names)})", 2))
    warnings = _grouped((w, name) for name, w in one.warnings)
    if warnings:
        console.print("\nwarnings")
    for warning, names in warnings.items():
        console.print(_indented(f"{warning.kind} ({_named(names)}): {warning.problem}.", 2))
        console.print(_indented(f"Try: {warning.fix}.", 4))
    if one.uncounted:
        console.print(Text(f"\nmultiply-adds unknown: {_named(list(one.uncounted))}"))
    if len(one.layers) == 1:
        console.print()
        console.print(Text(layer_text(one.layers[0])), soft_wrap=True)
    return _finished(console)


def layer_text(report: LayerReport) -> str:
    """Return all about one layer."""
    inputs = ", ".join(map(shape_text, report.input_shapes))
    outputs = ", ".join(map(shape_text, report.output_shapes))
    rows = [
        ("layer", f"{report.name} ({report.kind})"),
        ("shapes", f"{inputs} -> {outputs}"),
        *(("pattern", pattern) for pattern in report.patterns),
        *(("window", line) for line in report.arithmetic),
        ("cost", cost_text(report)),
        *(("field", axis_text(one)) for one in report.receptive_field),
        *((("lowering", report.lowering),) if report.lowering else ()),
        *(("", line) for line in report.why),
        *(("warning", f"{w.kind}: {w.problem}. Try: {w.fix}.") for w in report.warnings),
    ]
    return "\n".join(f"{title:<10}{line}" for title, line in rows)


def cost_text(report: LayerReport) -> str:
    """Return parameters, multiply-adds, bytes and their quotient in words."""
    parts = [f"{amount(report.parameters)} parameters", f"{amount(report.macs)} MACs"]
    if report.share is not None:
        parts[-1] += f" ({percent(report.share)} of all)"
    parts.append(f"{amount(report.bytes, 'B')} in and out")
    if report.intensity is not None:
        parts.append(f"{report.intensity:.3g} FLOP per byte")
    return ", ".join(parts)


def percent(share: float | None) -> str:
    """Return a share as text: ``?`` if it's unknown, nothing for 0."""
    if share is None:
        return "?"
    return f"{100 * share:.1f} %" if share else ""


def intensity_text(report: LayerReport) -> str:
    """Return the arithmetic intensity: ``?`` if it's unknown, nothing without multiply-adds."""
    if report.macs == 0:
        return ""
    return "?" if report.intensity is None else f"{report.intensity:.3g}"


def field_text(fields: Iterable[AxisField]) -> str:
    """Return the sizes of a receptive field; one number where all axes agree."""
    return _sizes([_size(one) for one in fields])


def effective_text(fields: Iterable[AxisField]) -> str:
    """Return the effective sizes of a receptive field, nothing where there are none."""
    known = [one for one in fields if one.effective is not None]
    return _sizes([str(one.effective) for one in known])


def axis_text(one: AxisField) -> str:
    """Return the receptive field along one axis in words."""
    where = f"input {one.input}, axis {one.axis}"
    extent = "" if one.extent is None else f" of {one.extent}"
    effective = "" if one.effective is None else f"; effective {one.effective}"
    if one.sees_all:
        return f"{where}: all{extent}{effective}"
    if one.size is None:
        return f"{where}: ?{effective}"
    offset = "?" if one.offset is None else one.offset
    return f"{where}: {one.size}{extent}, stride {one.stride:g}, offset {offset}{effective}"


def _size(one: AxisField) -> str:
    if one.sees_all:
        return "all"
    return "?" if one.size is None else str(one.size)


def _sizes(sizes: list[str]) -> str:
    return sizes[0] if len(set(sizes)) == 1 else " x ".join(sizes)


def _table(explanation: Explanation, width: int) -> Table:
    effective = any(f.effective is not None for r in explanation.layers for f in r.receptive_field)
    columns = [c for c in COLUMNS if width >= c.width and (effective or c.title != "effective")]
    table = Table(box=None, pad_edge=False, show_footer=True)
    total = {
        "layer": "total",
        "parameters": amount(explanation.parameters),
        "MACs": amount(explanation.macs),
        "bytes": amount(explanation.bytes, "B"),
    }
    for column in columns:
        table.add_column(
            column.title,
            total.get(column.title, ""),
            justify="right" if column.right else "left",
            overflow="fold",
        )
    for report in explanation.layers:
        mark = "! " if report.warnings else ""
        cells = [column.text(report) for column in columns]
        table.add_row(*(Text(c) for c in (mark + cells[0], *cells[1:])))
    return table


def _grouped(pairs: Iterable[tuple[object, str]]) -> dict:
    """Return the names by what they share, in order."""
    found: dict = {}
    for key, name in pairs:
        found.setdefault(key, []).append(name)
    return found


def _named(names: list[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _indented(line: str, by: int) -> Padding:
    return Padding(Text(line), (0, 0, 0, by), expand=False)


def _console() -> Console:
    return Console(file=StringIO(), highlight=False, markup=False, color_system=None)


def _finished(console: Console) -> str:
    file = console.file
    assert isinstance(file, StringIO)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines())
