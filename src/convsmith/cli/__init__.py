"""The command `convsmith`: arguments and printing only.

Nothing here imports Keras or NumPy at module level: the help stays instant, and `--backend` can
still choose. Each command imports what it needs once its arguments are known.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from convsmith.cli import build, export, filtering, fold, info, kernels, predict, train
from convsmith.cli.app import app
from convsmith.cli.failures import INTERRUPTED, exit_code, interrupted

__all__ = ["build", "export", "filtering", "fold", "info", "kernels", "main", "predict", "train"]


def main(args: Sequence[str] | None = None) -> None:
    """Run the command and exit.

    With 0; with 2 and one line on stderr when the request can't be met; with 3 when some of several
    files failed.
    """
    given = list(sys.argv[1:] if args is None else args)
    try:
        status = app(args=given, prog_name="convsmith", standalone_mode=False)
        if status == INTERRUPTED:  # some versions of Typer turn Ctrl-C into this code
            interrupted()
    except BaseException as error:
        status = exit_code(error, debug="--debug" in given)
    sys.exit(status if isinstance(status, int) else 0)
