"""PyTorch's `DistributedDataParallel` takes the steps of one device, as in docs/devices.md."""

from __future__ import annotations

import keras
import pytest

from devices_page import assert_same_steps, blocks, finish, free_ports, one_device, start

pytestmark = pytest.mark.skipif(keras.backend.backend() != "torch", reason="an engine of PyTorch")


def test_two_processes() -> None:
    (program,) = blocks("PyTorch")
    (port,) = free_ports(1)
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    found = finish(
        *(
            start(program, results="losses, count", environment={**shared, "RANK": str(rank)})
            for rank in range(2)
        )
    )
    assert [count for _, count in found] == [2, 2]
    assert_same_steps(one_device(), *(losses for losses, _ in found))
