"""Worker processes that fail: the error of the run is theirs. (Killed ones: tests/training.)"""

from __future__ import annotations

import keras
import pytest

from convsmith.errors import DataError, DeviceError
from crew_tasks import leave, refuse

pytestmark = pytest.mark.skipif(keras.backend.backend() != "torch", reason="processes of PyTorch")


class Heard:
    """Keeps what was reported."""

    def __init__(self) -> None:
        self.steps: list[tuple[float, int]] = []

    def step(self, loss: float, accuracy: int) -> None:
        self.steps.append((loss, accuracy))


def test_an_error_is_raised_here_with_its_place() -> None:
    from convsmith.distribution.processes import Crew

    heard = Heard()
    with pytest.raises(DataError, match="the loss became nan") as caught:
        Crew(1, refuse).work(heard)
    assert heard.steps == [(0.5, 0)]
    assert (caught.value.argument, caught.value.value) == ("data", "bars")
    assert "In worker 1:" in caught.value.__notes__[0]
    assert "crew_tasks.py" in caught.value.__notes__[0]


def test_a_process_that_just_ends() -> None:
    from convsmith.distribution.processes import Crew

    with pytest.raises(
        DeviceError,
        match="--devices 1: worker 1 of 1 ended with code 7. Try: --devices 1, which shows",
    ):
        Crew(1, leave).work(None)
