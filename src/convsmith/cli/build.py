"""`convsmith build`."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from convsmith.cli.app import DebugOption, app, out


@app.command()
def build(
    force: Annotated[bool, typer.Option("--force", help="Compile again what is there.")] = False,
    debug: DebugOption = False,
) -> None:
    """Compile the CPU kernels of the `direct` lowering for this machine (about half a minute)."""
    from convsmith import direct

    started = time.monotonic()
    with out.status("Compiling") as status:
        for part, path in direct.steps(force=force):
            if path is None:
                status.update(f"Compiling {part}.cpp")
            else:
                out.print(f"{part}: {path}", soft_wrap=True)
    out.print(f"Done in {time.monotonic() - started:.0f} s. New plans may choose `direct`.")
