"""`convsmith info`."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

import typer
from rich.table import Table

from convsmith._version import __version__
from convsmith.cli import backends
from convsmith.cli.app import DebugOption, app, out
from convsmith.direct import library

# Each backend answers in a process of its own: they don't always like each other's company, and
# one that can't start must not take this command down. Keras lists no devices for torch.
_LIST_DEVICES = {
    "tensorflow": "import keras; print(*keras.distribution.list_devices())",
    "jax": "import keras; print(*keras.distribution.list_devices())",
    "torch": "import keras, torch; print('cpu', "
    "*(f'cuda:{i}' for i in range(torch.cuda.device_count())))",
}
_PATIENCE_SECONDS = 120


@app.command()
def info(
    devices: Annotated[
        bool, typer.Option(help="Start each backend to ask for its devices (some seconds).")
    ] = True,
    debug: DebugOption = False,
) -> None:
    """Show versions, backends and devices, and how to install what is missing."""
    out.print(f"convsmith {__version__}, Python {platform.python_version()}, {platform.platform()}")
    libraries = ("keras", "numpy", "pillow")
    out.print(", ".join(f"{name} {backends.version(name) or 'missing'}" for name in libraries))
    out.print()

    there = [name for name in backends.BACKENDS if backends.installed(name)]
    found: dict[str, str] = {}
    if devices:
        with out.status("Asking each backend for its devices"), ThreadPoolExecutor() as pool:
            found = dict(zip(there, pool.map(_devices, there), strict=True))
    kernels = library.status()
    table = Table("backend", "version", "kernels", "devices", box=None, pad_edge=False)
    for name in backends.BACKENDS:
        version = backends.version(name) or ("?" if name in there else "missing")
        table.add_row(name, version, kernels.get(name, ""), found.get(name, ""))
    out.print(table)

    name, source = backends.wanted(None)
    out.print(f"\nCommands run on [bold]{name}[/] ({source}) unless --backend says otherwise.")
    missing = [name for name in backends.BACKENDS if name not in there]
    missing += [] if backends.installed("matplotlib") else ["plots"]
    for extra in missing:
        out.print(
            f"Missing: {extra}. Install it with: {backends.install_command(extra)}", markup=False
        )
    if "not built" in kernels.values():
        out.print("The CPU kernels aren't built. Build them with: convsmith build")
    if not missing:
        out.print("Nothing is missing.")


def _devices(backend: str) -> str:
    env = os.environ | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    try:
        done = subprocess.run(
            [sys.executable, "-c", _LIST_DEVICES[backend]],
            env=env,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"did not start within {_PATIENCE_SECONDS} s"
    lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    if done.returncode != 0:
        return f"does not start: {lines[-1] if lines else f'exit code {done.returncode}'}"
    return ", ".join(lines[-1].split()) if lines else ""
