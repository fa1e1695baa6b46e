"""Machine code: kept on disk, never run when broken, the same from every thread and process."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from convsmith import images
from convsmith.images import compiled, memory

pytestmark = pytest.mark.backend_free

SCRIPT = """
import time
import numpy as np
from convsmith import images
from convsmith.images import emit
made = []
optimised = emit.optimised
emit.optimised = lambda module: made.append(1) or optimised(module)
image = np.arange(600, dtype="float32").reshape(20, 30)
print(float(images.filter(image, np.ones((3, 5))).sum()), len(made))
"""


def run(folder: str | Path) -> list[str]:
    environment = os.environ | {compiled.VARIABLE: str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_machine_code_is_made_once(tmp_path: Path) -> None:
    first = run(tmp_path)
    (kept,) = tmp_path.glob("*.o")
    assert first[1] == "1"
    assert run(tmp_path) == [first[0], "0"]
    kept.write_bytes(kept.read_bytes()[:-100])  # as a full disk leaves it
    assert run(tmp_path) == first
    assert run("off") == first
    unwritable = tmp_path / "file"
    unwritable.write_text("no folder")
    assert run(unwritable) == first


def test_threads_and_workers_give_the_same_bits() -> None:
    rng = np.random.default_rng(0)
    image = rng.normal(size=(700, 800)).astype(np.float32)
    kernel = rng.normal(size=(5, 5))
    expected = images.filter(image, kernel, workers=1)
    for workers in (2, 3, 8):
        np.testing.assert_array_equal(images.filter(image, kernel, workers=workers), expected)
    wrong: list[int] = []

    def work(index: int) -> None:
        for _ in range(5):
            if not np.array_equal(images.filter(image, kernel), expected):
                wrong.append(index)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_parts_give_the_bits_of_the_whole() -> None:
    """Where a row or a column begins must not change how its sums are rounded."""
    rng = np.random.default_rng(0)
    image = rng.normal(size=(90, 133)).astype(np.float32)
    for kernel in (rng.normal(size=(7, 5)), np.outer(rng.normal(size=9), rng.normal(size=9))):
        expected = images.filter(image, kernel, padding_mode="constant")
        for top, left in ((1, 1), (3, 17), (40, 50)):
            part = images.filter(image[top:, left:], kernel, padding_mode="constant")
            np.testing.assert_array_equal(part[8:, 8:], expected[top + 8 :, left + 8 :])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system doesn't fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_filters_too() -> None:
    image = np.random.default_rng(0).normal(size=(900, 900)).astype(np.float32)
    expected = float(images.filter(image, np.ones((3, 3))).sum())
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        total = float(images.filter(image, np.ones((3, 3))).sum())
        os.write(write, str(total).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        assert float(pipe.read()) == expected
    os.waitpid(child, 0)


def test_memory_is_used_again_only_when_nobody_holds_it() -> None:
    images.release()
    image = np.random.default_rng(0).normal(size=(1000, 1000)).astype(np.float32)
    first = images.filter(image, [[1.0]])
    view = first[10:20]
    kept = view.copy()
    address = first.ctypes.data
    del first
    gc.collect()
    second = images.filter(image, [[2.0]])
    assert second.ctypes.data != address
    np.testing.assert_array_equal(view, kept)
    del view
    gc.collect()
    assert images.filter(image, [[3.0]]).ctypes.data == address
    images.release()
    assert not memory._free
    assert second.flags.writeable
    assert second.flags.c_contiguous


WITHOUT = """
import sys
sys.modules["llvmlite"] = None
sys.modules["scipy"] = None
import numpy as np
from convsmith import images
from convsmith.images import engine
image = np.arange(600, dtype="float32").reshape(20, 30)
line = np.ones(5) / 5
print(engine.compiled, float(images.filter_lines(image, [line, line]).sum()))
print(float(images.filter(image, np.eye(5), method="fourier").sum()))
"""


def test_numpy_does_it_where_llvmlite_and_scipy_are_missing() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True
    )
    image = np.arange(600, dtype=np.float32).reshape(20, 30)
    line = np.ones(5) / 5
    first, second, third = done.stdout.split()
    assert first == "None"
    np.testing.assert_allclose(float(second), images.filter_lines(image, [line, line]).sum())
    np.testing.assert_allclose(float(third), images.filter(image, np.eye(5)).sum(), rtol=1e-5)
