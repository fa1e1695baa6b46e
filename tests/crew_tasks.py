"""What worker processes do in the tests of `convsmith.distribution.processes`."""

from __future__ import annotations

import os
from typing import Any

from convsmith.errors import DataError


def refuse(rank: int, reporter: Any) -> None:
    """Report something, then raise as a training run does."""
    reporter.step(0.5, accuracy=rank)
    raise DataError("the loss became nan", argument="data", value="bars")


def leave(rank: int, reporter: Any) -> None:
    """End without a word, as a library that gives up does."""
    os._exit(7)
