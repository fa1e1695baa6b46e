"""Claiming devices: one always, more where there are more."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from convsmith import distribution
from convsmith.distribution import Devices
from convsmith.errors import ArgumentError


def test_one_device_does_the_job_itself() -> None:
    devices = distribution.claim(1)
    assert type(devices) is Devices
    assert devices.run(lambda given, reporter: (given, reporter), "r") == (devices, "r")


def test_what_cannot_be_split_evenly_is_left_out() -> None:
    class Three(Devices):
        count = 3

        def _fit(self, model: object, x: np.ndarray, *rest: object, **options: object) -> int:
            return len(x)

    x = np.zeros((21, 1))
    assert [Three().fit(None, x[:20], x[:20], size) for size in (6, 18, 9, 3)] == [18, 18, 18, 18]
    assert [Three().fit(None, x[:n], x[:n], 6) for n in (17, 18, 21)] == [15, 18, 21]


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="processes can always be started")
def test_more_devices_than_there_are() -> None:
    keras.ops.ones(2) + 1  # The framework has started, with one CPU device.
    with pytest.raises(
        ArgumentError, match=r"--devices 3: there is 1; expected 1. Received: .*(cpu|CPU)"
    ):
        distribution.claim(3)
