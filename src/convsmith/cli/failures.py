"""From an exception to one line on stderr and an exit code."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from convsmith.cli.app import err
from convsmith.errors import ConvsmithError

BAD_REQUEST = 2
BUG = 1
SOME_FAILED = 3
INTERRUPTED = 130


def exit_code(error: BaseException, *, debug: bool) -> int:
    """Print what went wrong, with the traceback only for `--debug`, and return the exit code."""
    caught: Any = error  # Typer bundles its own Click, so its classes are known by their methods
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    if debug and not hasattr(error, "exit_code"):
        err.print_exception()
    if isinstance(error, KeyboardInterrupt) or type(error).__name__ == "Abort":
        return interrupted()
    if hasattr(error, "format_message"):
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "convsmith"
        problem = caught.format_message().rstrip(".")
        if not problem:  # a bare `convsmith`: the help was printed already
            return BAD_REQUEST
        stop = "" if problem.endswith("?") else "."
        return _say(f"{problem}{stop} Try: {command} --help", BAD_REQUEST)
    if type(error).__name__ == "Exit":
        return int(caught.exit_code)
    if isinstance(error, ConvsmithError):
        return _say(error.message, BAD_REQUEST)
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return _say(f"{place}{error.strerror or error}", BAD_REQUEST)
    hint = "" if debug else " Run it again with --debug for the traceback."
    reason = " ".join(str(error).split())[:500]
    return _say(f"unexpected {type(error).__name__}: {reason}.{hint}", BUG)


def interrupted() -> int:
    err.print(
        "Stopped. What is finished is kept (a training run's epochs, the files and the tiles of "
        "large images that `filter` made): add --resume to continue."
    )
    return INTERRUPTED


def _say(message: str, status: int) -> int:
    err.print(Text("error: ", style="bold red") + Text(" ".join(message.split()), style="default"))
    return status
