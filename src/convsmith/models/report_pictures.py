"""Pictures in pages: kernels as PNG, receptive fields as SVG, both inline."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from io import BytesIO
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from convsmith.models.kernels import Kernel
from convsmith.models.report import AxisField
from convsmith.plots.bank import montage

MOST_FILTERS = 24
"""How many filters of a kernel are shown."""

PIXELS = 120
"""The longer side of a picture of a receptive field."""

RED, BLUE, GAP = (200, 80, 45), (47, 111, 159), (170, 180, 189)


def filters(kernel: Kernel) -> tuple[NDArray[np.float64], int]:
    """Return the first filters of a kernel as (filters, rows, columns), and how many there are.

    The mean over the channels that a filter sums; of volumes the middle slice.
    """
    values = kernel.filters().astype(np.float64).mean(axis=0)
    while values.ndim > 3:
        values = values[:, values.shape[1] // 2]
    if values.ndim == 2:
        values = values[:, None, :]
    return values[:MOST_FILTERS], values.shape[0]


def kernel_png(kernel: Kernel) -> str:
    """Return the data URI of a sheet of filters: red above zero, blue below, white zero."""
    shown, _ = filters(kernel)
    sheet = montage(shown)
    limit = max(float(np.nanmax(np.abs(sheet), initial=0.0)), 1e-12)
    share = np.clip(np.nan_to_num(sheet) / limit, -1, 1)[..., None]
    colours = np.where(share > 0, RED, BLUE)
    mixed = 255 + np.abs(share) * (colours - 255)
    mixed[np.isnan(sheet)] = GAP
    height, width = sheet.shape
    larger = max(1, 72 // max(height, 1)) if width < 400 else 1
    image = Image.fromarray(mixed.astype(np.uint8))
    image = image.resize((width * larger, height * larger), Image.Resampling.NEAREST)
    file = BytesIO()
    image.save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def field_svg(fields: Sequence[AxisField]) -> str:
    """Return a picture of the input, with what a central position sees.

    Nothing where sizes aren't known. Of volumes the last two axes.
    """
    axes = [f for f in fields if f.input == fields[0].input][-2:] if fields else []
    spans = [span for span in map(_span, axes) if span is not None]
    if not axes or len(spans) < len(axes):
        return ""
    if len(spans) == 1:
        thick = max(spans[0].extent / 8, 1.0)
        spans.insert(0, _Span(0.0, thick, thick, None if spans[0].held is None else thick))
    down, across = spans
    rows, columns = down.extent, across.extent
    scale = PIXELS / max(rows, columns)
    margin = 10.0

    def box(y: float, x: float, height: float, width: float, style: str) -> str:
        # What lies beyond the edges is drawn a little into the margin.
        y0, x0 = max(y * scale, -margin + 1), max(x * scale, -margin + 1)
        y1 = min((y + height) * scale, rows * scale + margin - 1)
        x1 = min((x + width) * scale, columns * scale + margin - 1)
        return (
            f'<rect x="{x0:.1f}" y="{y0:.1f}" width="{max(x1 - x0, 1.5):.1f}" '
            f'height="{max(y1 - y0, 1.5):.1f}" {style}/>'
        )

    shapes = [
        box(0, 0, rows, columns, 'class="input"'),
        box(down.start, across.start, down.size, across.size, 'class="field"'),
    ]
    if down.held is not None and across.held is not None:
        y = down.start + (down.size - down.held) / 2
        x = across.start + (across.size - across.held) / 2
        shapes.append(box(y, x, down.held, across.held, 'class="effective"'))
    width, height = columns * scale + 2 * margin, rows * scale + 2 * margin
    label = " x ".join("all" if f.sees_all else str(f.size) for f in axes)
    whole = " x ".join(str(f.extent) for f in axes)
    return (
        f'<svg class="rf" role="img" aria-label="receptive field {label} of {whole}" '
        f'width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="{-margin:g} {-margin:g} {width:.1f} {height:.1f}">{"".join(shapes)}</svg>'
    )


class _Span(NamedTuple):
    """Where a central window starts, the sizes of axis and window, and the effective size."""

    start: float
    extent: float
    size: float
    held: float | None


def _span(one: AxisField) -> _Span | None:
    if one.extent is None or one.size is None:
        return None
    if one.sees_all or one.offset is None or not one.stride:
        start = 0.0 if one.sees_all else (one.extent - one.size) / 2
    else:
        places = round(((one.extent - one.size) / 2 - one.offset) / one.stride)
        start = one.offset + places * one.stride
    return _Span(start, one.extent, one.size, one.effective)
