"""An image before and after."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from convsmith.errors import ArgumentError, ShapeError, compose
from convsmith.plots.style import INK, figure_or_new, frame, show_image

LABELS = ("before", "after")


def plot_before_after(
    before: Any,
    after: Any,
    figure: Any = None,
    *,
    titles: Sequence[str] = LABELS,
    difference: bool = False,
) -> Any:
    """Draw an image before and after beside each other; on demand also their difference.

    Integers are drawn on their own scale (0 to 255 for uint8), floats from lowest to highest, with
    zero as the middle grey where there are negative ones: as `convsmith filter --compare` does.

    Args:
        before: (height, width), or with channels, of which three or four are colours; of more axes
            the first page is drawn.
        after: likewise.
        figure: the Matplotlib Figure or SubFigure to draw into; a new one by default.
        titles: what stands above the two.
        difference: whether ``after - before``, of colours their mean, is drawn as a third: red
            where it grew, blue where it fell.

    Returns:
        The figure, with two or three axes.

    Raises:
        ShapeError: an image of fewer than two axes, or a difference of unlike shapes.
        ArgumentError: not two titles, or a `figure` that can't be drawn into.
        UnsupportedError: Matplotlib isn't installed.

    Example:
        >>> image = np.eye(8, dtype="uint8") * 255
        >>> figure = plot_before_after(image, 255 - image, difference=True)
        >>> [axes.get_title() for axes in figure.axes]
        ['before', 'after', 'after - before']

    Source: none.
    """
    # Only here: it loads what images are filtered with.
    from convsmith.images.compare import first_page, shown

    pair = [np.asarray(image) for image in (before, after)]
    for name, image in zip(LABELS, pair, strict=True):
        if image.ndim < 2 or image.size == 0 or image.dtype.kind not in "fiubc":
            raise ShapeError(
                compose(
                    f"{name} of shape {image.shape} and dtype {image.dtype}",
                    "is not an image",
                    expected="numbers of at least two axes: (height, width)",
                    fix="image[None, :] for a line",
                ),
                argument=name,
                value=image.shape,
            )
    if len(titles) != 2 or isinstance(titles, str):
        raise ArgumentError(
            compose(
                f"plot_before_after(titles={titles!r})",
                "aren't two titles",
                expected="one for each image",
                fix='titles=("before", "after")',
            ),
            argument="titles",
            value=titles,
        )
    if difference and pair[0].shape != pair[1].shape:
        raise ShapeError(
            compose(
                f"before of shape {pair[0].shape} and after of shape {pair[1].shape}",
                "have no difference",
                expected="one shape",
                fix="difference=False",
            ),
            argument="difference",
            value=(pair[0].shape, pair[1].shape),
        )
    eights = [shown(image) for image in pair]
    height, width = eights[0].shape[:2]
    count = 2 + difference
    panel = min(max(3.2 * width / height, 1.6), 6.4)
    figure = figure_or_new(figure, figsize=(panel * count, panel * height / width + 0.35))
    grid = figure.subplots(1, count)
    for axes, image, title in zip(grid[:2], eights, titles, strict=True):
        axes.imshow(image, cmap="gray", vmin=0, vmax=255)
        axes.set_title(title, color=INK, fontsize=10)
        frame(axes)
    if difference:
        first, last = (first_page(image).astype(np.float64) for image in pair)
        change = last - first
        change = change.mean(axis=-1) if change.ndim == 3 else change
        show_image(grid[2], change, f"{titles[1]} - {titles[0]}", signed=True)
        grid[2].title.set_fontsize(10)
    return figure
