"""TensorFlow's strategies take the steps of one device, by the programs of docs/devices.md."""

from __future__ import annotations

import json

import keras
import pytest

from devices_page import assert_same_steps, blocks, finish, free_ports, one_device, start

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="engines of TensorFlow"
)

TWO_DEVICES = """
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
"""

FIT_IS_REFUSED = """
try:
    model.fit(images, labels, **options)
except ValueError as error:
    refusal = " ".join(str(error).split())
"""


def test_mirrored() -> None:
    mirrored, _ = blocks("TensorFlow")
    program = start(mirrored, setup=TWO_DEVICES, results="losses, names", environment={})
    [(losses, names)] = finish(program)
    assert len(names) == 2
    assert_same_steps(one_device(), losses)


def test_two_workers() -> None:
    _, worker = blocks("TensorFlow")
    workers = [f"127.0.0.1:{port}" for port in free_ports(2)]
    found = finish(
        *(
            start(
                worker,
                FIT_IS_REFUSED,
                results="losses, strategy.num_replicas_in_sync, refusal",
                environment={
                    "TF_CONFIG": json.dumps(
                        {
                            "cluster": {"worker": workers},
                            "task": {"type": "worker", "index": index},
                        }
                    )
                },
            )
            for index in range(2)
        )
    )
    assert [count for _, count, _ in found] == [2, 2]
    assert_same_steps(one_device(), *(losses for losses, _, _ in found))
    for _, _, refusal in found:  # What the page says doesn't work; tell it when it does.
        assert refusal.startswith("Attempt to convert a value (PerReplica:{")
        assert refusal.endswith(
            "with an unsupported type "
            "(<class 'tensorflow.python.distribute.values.PerReplica'>) to a Tensor."
        )
