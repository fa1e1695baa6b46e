"""Pictures against those in `plots/baseline`.

After a change that is meant, look at the new ones: `CONVSMITH_BASELINE=write pytest tests/plots`
writes them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from matplotlib.testing.compare import compare_images

BASELINE = Path(__file__).parent / "plots" / "baseline"

DPI = 60

TOLERANCE = 6.0
"""In root mean square of 8 bits: more than other fonts and edges make, less than a wrong cell."""


def difference(figure: Any, name: str, folder: Path) -> str | None:
    """Return how a figure differs from its baseline; None if it doesn't."""
    drawn = folder / f"{name}.png"
    figure.savefig(drawn, dpi=DPI, metadata={"Software": None})
    return compare_images(str(BASELINE / drawn.name), str(drawn), TOLERANCE)


def check(figure: Any, name: str, folder: Path) -> None:
    """Assert that a figure looks like its baseline, or write it anew where that is asked for."""
    if os.environ.get("CONVSMITH_BASELINE") == "write":
        figure.savefig(BASELINE / f"{name}.png", dpi=DPI, metadata={"Software": None})
        return
    assert difference(figure, name, folder) is None
