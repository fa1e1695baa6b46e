"""The programs of docs/devices.md: the model and one section's code, run on many devices or one."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

PAGE = Path(__file__).parent.parent / "docs" / "devices.md"
MODEL = "The model of the examples"
PATIENCE_SECONDS = 600
ONE_DEVICE = 'wanted = build().fit(images, labels, **options).history["loss"]'


def blocks(section: str) -> list[str]:
    """Return the Python code of a section, block by block."""
    text = PAGE.read_text(encoding="utf-8").split(f"\n## {section}\n")[1].split("\n## ")[0]
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def start(
    *code: str, results: str, setup: str = "", environment: Mapping[str, str]
) -> subprocess.Popen[str]:
    """Start a process that runs code of the page and prints some of its variables as JSON."""
    program = "\n".join([setup, *blocks(MODEL), *code])
    report = f"import json\nprint('RESULTS', json.dumps([{results}], default=str))"
    return subprocess.Popen(
        [sys.executable, "-c", f"{program}\n{report}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
    )


def finish(*processes: subprocess.Popen[str]) -> list[list[Any]]:
    """Return what the processes printed, once all have ended well."""
    outputs = []
    try:
        for process in processes:
            out, err = process.communicate(timeout=PATIENCE_SECONDS)
            assert process.returncode == 0, err
            outputs.append(json.loads(out.partition("RESULTS ")[2]))
    finally:
        for process in processes:
            process.kill()
    return outputs


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def assert_same_steps(wanted: list[float], *found: list[float]) -> None:
    """Assert that runs had the losses of one device, which learned something."""
    assert wanted[-1] < wanted[0] - 1e-3
    for losses in found:
        np.testing.assert_allclose(losses, wanted, rtol=1e-4)


def one_device() -> list[float]:
    """Return the losses of each epoch in this process, without any engine."""
    names: dict[str, Any] = {"__name__": "page"}
    exec(compile("\n".join([*blocks(MODEL), ONE_DEVICE]), str(PAGE), "exec"), names)
    return names["wanted"]
