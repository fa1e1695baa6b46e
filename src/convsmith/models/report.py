"""What `explain` finds out: a record for each layer, one for the whole model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convsmith.errors import ArgumentError, compose
from convsmith.models.kernels import Kernel
from convsmith.models.receptive import Field
from convsmith.models.warnings import LayerWarning

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class AxisField:
    """The receptive field along one axis of one input of the model.

    Attributes:
        input: the number of the input.
        axis: its axis.
        extent: its size, None if unknown.
        size: how many entries a position sees; `extent` where it sees all.
        stride: how far the windows of neighbours are apart, in entries; 0 where all see all.
        offset: where the first position's window starts, negative in the padding.
        sees_all: whether each position sees the whole axis.
        effective: how many entries hold 95 % of a central position's gradient, if asked.
    """

    input: int
    axis: int
    extent: int | None
    size: int | None
    stride: float | None
    offset: int | None
    sees_all: bool
    effective: int | None = None


@dataclass(frozen=True)
class LayerReport:
    """One call of a layer. Sizes and counts are None where they aren't known.

    Attributes:
        name: of the layer, behind the names of the models that it's in.
        kind: its class.
        input_shapes, output_shapes: with the batch.
        patterns: in the notation of `convsmith.conv`, for convolutions and poolings.
        arithmetic: the equations of its sizes.
        parameters: numbers in its weights, 0 where an earlier call has them already.
        macs: multiply-adds.
        bytes: of inputs, outputs and weights, each moved once.
        intensity: floating-point operations (two for each multiply-add) per byte.
        share: of the model's multiply-adds.
        receptive_field: along the axes of the model's inputs.
        lowering: how the convolutions are computed.
        why: the reasons for that.
        warnings: what is probably not meant.
        kernel: what it convolves with.
    """

    name: str
    kind: str
    input_shapes: tuple[Shape, ...]
    output_shapes: tuple[Shape, ...]
    patterns: tuple[str, ...] = ()
    arithmetic: tuple[str, ...] = ()
    parameters: int = 0
    macs: int | None = None
    bytes: int | None = None
    intensity: float | None = None
    share: float | None = None
    receptive_field: tuple[AxisField, ...] = ()
    lowering: str = ""
    why: tuple[str, ...] = ()
    warnings: tuple[LayerWarning, ...] = ()
    kernel: Kernel | None = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        from convsmith.models.report_text import layer_text

        return layer_text(self)

    def to_dict(self) -> dict[str, Any]:
        """Return the record as JSON has it."""
        return {
            "name": self.name,
            "kind": self.kind,
            "input_shapes": [list(s) for s in self.input_shapes],
            "output_shapes": [list(s) for s in self.output_shapes],
            "patterns": list(self.patterns),
            "arithmetic": list(self.arithmetic),
            "parameters": self.parameters,
            "macs": self.macs,
            "bytes": self.bytes,
            "flops_per_byte": self.intensity,
            "share": self.share,
            "receptive_field": [vars(one) for one in self.receptive_field],
            "lowering": self.lowering,
            "why": list(self.why),
            "warnings": [one._asdict() for one in self.warnings],
        }


@dataclass(frozen=True)
class Explanation:
    """What `convsmith.explain` returns: printed it is a table, and `to_html` makes a page.

    Attributes:
        name: of the model or layer.
        backend, device, mode: what the lowerings were chosen for.
        inputs: the shapes of the inputs.
        layers: a record for each call of a layer, in order.

    ``explanation["conv2d"]`` is the record of one layer, in which `print` shows more.
    """

    name: str
    backend: str
    device: str
    mode: str
    inputs: tuple[Shape, ...]
    layers: tuple[LayerReport, ...]

    @property
    def parameters(self) -> int:
        """The numbers in all weights, shared ones once."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def macs(self) -> int | None:
        """The multiply-adds of all layers that are counted; None if no size is known."""
        known = [layer.macs for layer in self.layers if layer.macs is not None]
        return sum(known) if known or not self.layers else None

    @property
    def bytes(self) -> int | None:
        """What all layers move, as far as it's known."""
        known = [layer.bytes for layer in self.layers if layer.bytes is not None]
        return sum(known) if known or not self.layers else None

    @property
    def uncounted(self) -> tuple[str, ...]:
        """The layers of which the multiply-adds aren't known."""
        return tuple(layer.name for layer in self.layers if layer.macs is None)

    @property
    def warnings(self) -> tuple[tuple[str, LayerWarning], ...]:
        """All warnings with the names of their layers."""
        return tuple((layer.name, one) for layer in self.layers for one in layer.warnings)

    def __getitem__(self, name: str) -> LayerReport:
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise ArgumentError(
            compose(
                f"explanation[{name!r}]",
                "names no layer",
                expected=f"one of {', '.join(repr(one.name) for one in self.layers)}",
            ),
            argument="name",
            value=name,
        )

    def __str__(self) -> str:
        from convsmith.models.report_text import text

        return text(self)

    def __repr__(self) -> str:
        return str(self)

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the kernels as plain lists, dicts, numbers and text."""
        return {
            "name": self.name,
            "backend": self.backend,
            "device": self.device,
            "mode": self.mode,
            "inputs": [list(s) for s in self.inputs],
            "layers": [layer.to_dict() for layer in self.layers],
            "total": {
                "parameters": self.parameters,
                "macs": self.macs,
                "bytes": self.bytes,
                "uncounted": list(self.uncounted),
            },
        }

    def to_json(self) -> str:
        """Return everything but the kernels as JSON; what isn't known is null."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False)

    def to_html(self, path: str | Path | None = None) -> str:
        """Return a page that holds all of it, pictures included, and write it to `path` if given.

        It needs nothing else: no network, no script.
        """
        from convsmith.files import write_text
        from convsmith.models.report_html import page

        made = page(self)
        if path is not None:
            write_text(Path(path), made)
        return made

    def plot(self) -> Figure:
        """Return a Matplotlib figure: shares of the layers, and receptive fields over the input.

        Raises:
            UnsupportedError: Matplotlib is missing.
        """
        from convsmith.models.report_plot import figure

        return figure(self)


def axis_field(
    key: tuple[int, int], seen: Field | None, extent: int | None, effective: int | None = None
) -> AxisField:
    """Return the record of one field of a tensor."""
    number, axis = key
    if seen is None or not seen.is_known:
        return AxisField(number, axis, extent, None, None, None, False, effective)
    if seen.sees_all:
        return AxisField(number, axis, extent, extent, 0.0, 0, True, effective)
    stride = float(seen.stride)
    return AxisField(number, axis, extent, seen.size, stride, seen.offset, False, effective)


def amount(number: float | None, unit: str = "") -> str:
    """Return a number short enough for a table, such as ``1.81 G``; ``?`` for None.

    Example:
        >>> amount(194400), amount(12), amount(None), amount(2_000_000, "B")
        ('194 k', '12', '?', '2 MB')
    """
    if number is None:
        return "?"
    size = float(number)
    for prefix in ("", "k", "M", "G"):
        if abs(size) < 999.5:
            return f"{size:.3g} {prefix}{unit}".rstrip()
        size /= 1000
    return f"{size:.3g} T{unit}"


def shape_text(shape: Sequence[int | None]) -> str:
    """Return a shape with ``?`` for what isn't known.

    Example:
        >>> shape_text((None, 32, 3))
        '? x 32 x 3'
    """
    return " x ".join("?" if n is None else str(n) for n in shape) or "scalar"
