"""Pictures of kernels, layers, images and training, drawn with Matplotlib.

It comes with `pip install 'convsmith[plots]'`. Functions named ``plot_...`` draw into the axes or
the figure that they are given, or into a new one, and return it; those named ``save_...`` write the
pictures of the commands. New figures need no display: ``figure.savefig("picture.png")``.
"""

from convsmith.plots.bank import plot_bank, save_sheet
from convsmith.plots.comparison import plot_before_after
from convsmith.plots.curves import save_curves
from convsmith.plots.kernel import plot_kernel
from convsmith.plots.layer import plot_effective_kernel, save_kernels
from convsmith.plots.receptive import plot_receptive_field
from convsmith.plots.response import plot_frequency_response, save_kernel
from convsmith.plots.style import COLOURS, FAINT, GAPS, INK, new_figure, show_image, style_axes

__all__ = [
    "COLOURS",
    "FAINT",
    "GAPS",
    "INK",
    "new_figure",
    "plot_bank",
    "plot_before_after",
    "plot_effective_kernel",
    "plot_frequency_response",
    "plot_kernel",
    "plot_receptive_field",
    "save_curves",
    "save_kernel",
    "save_kernels",
    "save_sheet",
    "show_image",
    "style_axes",
]
