"""What one output of a network sees of an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convsmith.errors import ArgumentError, ShapeError, compose
from convsmith.geometry import ReceptiveField
from convsmith.plots.style import COLOURS, GAPS, INK, TINY, axes_or_new, frame

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[Any]

EDGE = COLOURS[0]

HEAT = "inferno"

MOST_HEAT = 0.85
"""How much of the image the strongest heat hides."""


def plot_receptive_field(
    image: Any,
    field: Any,
    ax: Any = None,
    *,
    output: Sequence[int] | None = None,
    heat: Any = None,
    title: str | None = None,
) -> Axes:
    """Draw the window of an image that one output of a network sees, and those of its neighbours.

    Equation: output i sees ``start + i*stride`` to ``start + i*stride + size - 1``, along each
    axis. What lies beyond the image is padding.

    Args:
        image: (height, width), or (height, width, channels); drawn as by `plot_before_after`.
        field: a `convsmith.geometry.ReceptiveField` for both axes, or a pair of them for rows and
            columns; or plain numbers ``(size, stride, start)``, or a pair of those.
        ax: the Matplotlib Axes to draw into; those of a new figure by default.
        output: (row, column) of the output; the one nearest to the image's middle by default.
        heat: (height, width) or with channels: how much each pixel matters, such as the absolute
            gradient of the output; drawn over the image, the absolute sum of its channels.
        title: what stands above it; the window's size and stride by default.

    Returns:
        The Axes.

    Raises:
        ShapeError: an image of another number of axes, or a heat of another size.
        ArgumentError: a field that isn't one, an `output` that isn't two numbers, or an `ax` that
            can't be drawn into.
        UnsupportedError: Matplotlib isn't installed.

    Example:
        >>> from convsmith.geometry import receptive_field
        >>> field = receptive_field([(3, 2, 1, 1), (3, 1, 1, 1)])
        >>> axes = plot_receptive_field(np.zeros((32, 32)), field, output=(8, 8))
        >>> axes.get_title()
        'output (8, 8) sees 7x7, stride 2x2'
        >>> axes.patches[-1].get_xy(), axes.patches[-1].get_width()
        ((12.5, 12.5), 7)

    Source: Araujo, Norris & Sim, "Computing Receptive Fields of Convolutional Neural Networks",
    Distill, 2019; Luo et al., "Understanding the Effective Receptive Field in Deep Convolutional
    Neural Networks", NeurIPS 2016, for the heat.
    """
    array = np.asarray(image)
    if array.ndim not in (2, 3) or array.size == 0 or array.dtype.kind not in "fiub":
        raise ShapeError(
            compose(
                f"image of shape {array.shape} and dtype {array.dtype}",
                "is not one image",
                expected="numbers, (height, width) or (height, width, channels)",
                fix="images[0]",
            ),
            argument="image",
            value=array.shape,
        )
    size = array.shape[:2]
    rows, columns = _fields(field)
    place = _output(output, (rows, columns), size)
    height, width = size
    shape = 3.6 * width / height
    axes = axes_or_new(ax, figsize=(min(max(shape, 2.4), 7.0), 4.0))
    from matplotlib.patheffects import withStroke

    # Only here: it loads what images are filtered with.
    from convsmith.images.compare import shown

    axes.imshow(shown(array), cmap="gray", vmin=0, vmax=255)
    if heat is not None:
        _draw_heat(axes, heat, size)
    for around in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        at = (place[0] + around[0], place[1] + around[1])
        if min(at) >= 0:
            _draw_window(axes, rows, columns, at, lw=0.9, alpha=0.7)
    halo = [withStroke(linewidth=3.8, foreground="white")]
    _draw_window(axes, rows, columns, place, lw=2.2, path_effects=halo)
    middle = [f.center + i * f.stride for f, i in zip((rows, columns), place, strict=True)]
    axes.plot(middle[1], middle[0], "+", color=EDGE, ms=9, mew=2)
    _show_all(axes, rows, columns, place, size)
    frame(axes)
    if title is None:
        title = (
            f"output ({place[0]}, {place[1]}) sees {rows.size}x{columns.size}, "
            f"stride {rows.stride}x{columns.stride}"
        )
    axes.set_title(title, color=INK, fontsize=9)
    return axes


def _fields(field: Any) -> tuple[ReceptiveField, ReceptiveField]:
    """Return the fields along rows and columns."""
    one = _field(field)
    if one is not None:
        return one, one
    try:
        pair = [_field(each) for each in field]
    except TypeError:
        pair = []
    if len(pair) == 2 and pair[0] is not None and pair[1] is not None:
        return pair[0], pair[1]
    raise ArgumentError(
        compose(
            f"field={field!r}",
            "is not a receptive field of rows and columns",
            expected="a ReceptiveField, numbers (size, stride, start), or a pair of either",
            fix="convsmith.geometry.receptive_field([(kernel, stride, dilation, low_pad), ...])",
        ),
        argument="field",
        value=field,
    )


def _field(given: Any) -> ReceptiveField | None:
    if isinstance(given, ReceptiveField):
        return given
    numbers: list[Any] = [getattr(given, name, None) for name in ("size", "stride", "start")]
    if isinstance(given, list | tuple) and len(given) == 3:
        numbers = list(given)
    whole = all(isinstance(n, int | np.integer) and not isinstance(n, bool) for n in numbers)
    if not whole or numbers[0] < 1 or numbers[1] < 1:
        return None
    size, stride, start = (int(n) for n in numbers)
    return ReceptiveField(size, stride, start)


def _output(
    output: Any, fields: tuple[ReceptiveField, ReceptiveField], size: Sequence[int]
) -> tuple[int, int]:
    """Return which output is drawn."""
    if output is None:
        near = [
            max(0, round(((n - 1) / 2 - f.center) / f.stride))
            for f, n in zip(fields, size, strict=True)
        ]
        return near[0], near[1]
    try:
        chosen = [int(i) for i in output if int(i) == i and i >= 0]
    except (TypeError, ValueError):
        chosen = []
    if len(chosen) != 2 or len(output) != 2:
        raise ArgumentError(
            compose(
                f"output={output!r}",
                "is not the place of an output",
                expected="(row, column), counted from 0",
                fix="output=None for the middle",
            ),
            argument="output",
            value=output,
        )
    return chosen[0], chosen[1]


def _draw_heat(axes: Axes, heat: Any, size: Sequence[int]) -> None:
    array = np.abs(np.asarray(heat, np.float64))
    array = array.sum(axis=-1) if array.ndim == 3 else array
    if array.shape != tuple(size) or not np.isfinite(array).all():
        raise ShapeError(
            compose(
                f"heat of shape {np.shape(heat)}",
                "doesn't fit the image",
                expected=f"finite numbers of shape {tuple(size)}, or with channels",
                fix="gradient[0], that of one image",
            ),
            argument="heat",
            value=np.shape(heat),
        )
    share = array / max(float(array.max()), TINY)
    axes.imshow(share, cmap=HEAT, vmin=0, vmax=1, alpha=MOST_HEAT * np.sqrt(share))


def _draw_window(
    axes: Axes, rows: ReceptiveField, columns: ReceptiveField, place: tuple[int, int], **style: Any
) -> None:
    from matplotlib.patches import Rectangle

    top = rows.start + place[0] * rows.stride - 0.5
    left = columns.start + place[1] * columns.stride - 0.5
    axes.add_patch(
        Rectangle((left, top), columns.size, rows.size, fill=False, edgecolor=EDGE, **style)
    )


def _show_all(
    axes: Axes, rows: ReceptiveField, columns: ReceptiveField, place: tuple[int, int],
    size: Sequence[int],
) -> None:  # fmt: skip
    """Make room for what lies in the padding, which is grey."""
    limits = []
    for field, index, n in zip((rows, columns), place, size, strict=True):
        first = field.start + index * field.stride
        low, high = min(first, 0), max(first + field.size, n)
        edge = 0.02 * (high - low) if (low, high) != (0, n) else 0.0
        limits.append((low - edge - 0.5, high + edge - 0.5))
    axes.set_facecolor(GAPS)
    axes.set_ylim(limits[0][1], limits[0][0])
    axes.set_xlim(*limits[1])
