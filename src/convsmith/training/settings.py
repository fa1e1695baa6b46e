"""What a training run is asked to do."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from convsmith.errors import ArgumentError, compose

Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

BASELINE = "plain"


@dataclass(frozen=True)
class Settings:
    """The choices of one run; `out` is the folder that receives everything."""

    data: str = "mini"
    conv: str = "standardized"
    epochs: int = 5
    batch_size: int = 128
    precision: Precision = "float32"
    seed: int = 0
    out: Path = Path("runs/train")
    devices: int = 1

    def __post_init__(self) -> None:
        for name, minimum in (("epochs", 1), ("batch_size", 1), ("seed", 0), ("devices", 1)):
            value = getattr(self, name)
            if value < minimum:
                raise ArgumentError(
                    compose("train", f"{name}={value} is too small", expected=f"{minimum} or more"),
                    argument=name,
                    value=value,
                )
        if self.precision not in PRECISIONS:
            raise ArgumentError(
                compose(
                    "train",
                    f"precision={self.precision!r} is unknown",
                    expected=f"one of {', '.join(PRECISIONS)}",
                ),
                argument="precision",
                value=self.precision,
            )
        if self.batch_size % self.devices:
            even = -(-self.batch_size // self.devices) * self.devices
            raise ArgumentError(
                compose(
                    "train",
                    f"batch_size={self.batch_size} can't be split evenly over "
                    f"{self.devices} devices",
                    expected="a multiple of the number of devices",
                    fix=f"--batch-size {even}",
                ),
                argument="batch_size",
                value=self.batch_size,
            )

    @property
    def convs(self) -> tuple[str, ...]:
        """The convolutions to train: the chosen one, then the baseline beside it."""
        return (self.conv,) if self.conv == BASELINE else (self.conv, BASELINE)

    def identity(self) -> dict[str, Any]:
        """What must stay the same when a run is resumed.

        Epochs may grow, and any number of devices takes the same steps.
        """
        choices = asdict(self)
        for name in ("epochs", "out", "devices"):
            del choices[name]
        return choices
