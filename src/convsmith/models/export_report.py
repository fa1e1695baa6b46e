"""What an export did."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from convsmith.models.formats import FormatName, Quantize


@dataclass(frozen=True)
class Accuracy:
    """The share of samples whose largest output is that of their label."""

    before: float
    after: float
    samples: int

    def __str__(self) -> str:
        return f"{self.before:.2%} before, {self.after:.2%} after, on {self.samples:,} samples"


@dataclass(frozen=True)
class ExportReport:
    """What was written, and how it compares with the model.

    Attributes:
        path: The file or folder.
        format: Its format.
        quantize: What the numbers became, or None.
        sizes: The shapes of the inputs that it was run on.
        max_difference: The largest difference between its outputs and the model's.
        mean_difference: The mean of the differences.
        scale: The largest number among the model's outputs.
        bytes: How large it is.
        accuracy: Before and after, if labels were given.
        notes: What it is fixed to, and what was changed.
    """

    path: Path
    format: FormatName
    quantize: Quantize | None
    sizes: tuple[tuple[tuple[int, ...], ...], ...]
    max_difference: float
    mean_difference: float
    scale: float
    bytes: int
    accuracy: Accuracy | None = None
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        kind = f"{self.format}, {self.quantize}" if self.quantize else self.format
        tried = "; ".join(" and ".join("x".join(map(str, s)) for s in x) for x in self.sizes)
        far = f"{self.max_difference:.2g}, by {self.mean_difference:.2g} in the mean"
        lines = [
            f"{self.path} ({kind}, {self.bytes:,} bytes)",
            f"run on {tried}: differs by at most {far} (outputs up to {self.scale:.3g})",
        ]
        if self.accuracy is not None:
            lines.append(f"accuracy: {self.accuracy}")
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])
