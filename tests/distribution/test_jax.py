"""JAX's meshes take the steps of one device, and send what they have to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest

from convsmith.direct import library
from devices_page import ONE_DEVICE, assert_same_steps, blocks, finish, start

pytestmark = pytest.mark.skipif(keras.backend.backend() != "jax", reason="engines of JAX")

PROGRAM = Path(__file__).parent.parent / "split_by_xla.py"
FOUR_DEVICES = {
    # Compiling takes most of the time: what is compiled needn't be fast.
    "XLA_FLAGS": "--xla_force_host_platform_device_count=4 --xla_backend_optimization_level=0 "
    "--xla_llvm_disable_expensive_passes=true"
}


def test_data_and_model_parallel() -> None:
    program = start(
        *blocks("JAX"),
        ONE_DEVICE,
        results="wanted, losses, split_losses, devices, "
        "list(model.get_layer('wide').kernel.value.sharding.spec)",
        environment=FOUR_DEVICES,
    )
    [(wanted, losses, split_losses, devices, spec)] = finish(program)
    assert len(devices) == 4
    assert_same_steps(wanted, losses, split_losses)
    assert spec == [None, None, None, "filters"]


def test_split_batches_send_gradients_and_split_filters_outputs() -> None:
    done = subprocess.run(
        [sys.executable, str(PROGRAM)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **FOUR_DEVICES},
    )
    assert done.returncode == 0, done.stderr
    found, wide, mapped = json.loads(done.stdout.partition("RESULTS ")[2])
    assert mapped["difference"] < 1e-5
    assert mapped["a mesh is known"]
    assert wide["difference"] < 1e-5
    assert wide["sent"] == {"all-gather": wide["outputs"]}
    assert len(found) == 3
    for name, each in found.items():
        assert each["difference"] < 1e-5, name
        assert list(each["sent"]) == ["all-reduce"], name
        assert not each["compiled kernels"], name
        if not library.missing("jax"):  # Where they are built, one device uses them.
            assert each["compiled kernels on one device"], name
    for name in ("dense", "dense, split by hand"):
        assert found[name]["sent"]["all-reduce"] == found[name]["gradients"], name
