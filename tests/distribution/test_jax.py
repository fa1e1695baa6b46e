"""JAX's meshes take the steps of one device, and send what they have to."""

from __future__ import annotations

import keras
import pytest

from devices_page import assert_same_steps, blocks, finish, start

pytestmark = pytest.mark.skipif(keras.backend.backend() != "jax", reason="engines of JAX")

FOUR_DEVICES = {"XLA_FLAGS": "--xla_force_host_platform_device_count=4"}


def test_data_and_model_parallel() -> None:
    program = start(
        *blocks("JAX"),
        results="losses, split_losses, devices, "
        "list(model.get_layer('wide').kernel.value.sharding.spec)",
        environment=FOUR_DEVICES,
    )
    [(losses, split_losses, devices, spec)] = finish(program)
    assert len(devices) == 4
    assert_same_steps(losses, split_losses)
    assert spec == [None, None, None, "filters"]
