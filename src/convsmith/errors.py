"""Every error that convsmith raises: one family, each also the builtin that callers expect.

A message says what is wrong, what was expected, what was received and one change that fixes it.
`compose` builds it, so that the wording stays one template in the whole library.
"""

from __future__ import annotations

from typing import Any


def compose(
    where: str,
    problem: str,
    *,
    expected: str | None = None,
    received: str | None = None,
    fix: str | None = None,
) -> str:
    """Return ``where: problem; expected ... Received: ... Try: ...``."""
    text = f"{where}: {problem}"
    if expected:
        text += f"; expected {expected}"
    text = text.rstrip(".") + "."
    if received:
        text += f" Received: {received.rstrip('.')}."
    if fix:
        text += f" Try: {fix.rstrip('.')}."
    return text


class ConvsmithError(Exception):
    """Base of all errors raised by convsmith; `argument` and `value` name the culprit if known."""

    ag_pass_through = True  # TensorFlow's AutoGraph raises it as it is, not as an error of its own.

    def __init__(self, message: str, *, argument: str | None = None, value: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.argument = argument
        self.value = value


class PatternError(ConvsmithError, ValueError):
    """A pattern of the notation is malformed, or its sizes contradict each other.

    `pattern` is the text and `position` the offset of the caret (None when no place is to blame).
    """

    def __init__(
        self, message: str, *, pattern: str, position: int | None = None, length: int = 1
    ) -> None:
        super().__init__(message, argument="pattern", value=pattern)
        self.pattern = pattern
        self.position = position
        self.length = length


class ArgumentError(ConvsmithError, ValueError):
    """An argument has a value that no call could accept (unknown mode, zero stride, ...)."""


class ShapeError(ConvsmithError, ValueError):
    """Operands whose rank, channels or sizes don't fit, or an output that would be empty."""


class KernelError(ConvsmithError, ValueError):
    """A kernel array with the wrong rank, layout or channels."""


class DtypeError(ConvsmithError, TypeError):
    """Dtypes that can't be combined without losing values."""


class UnsupportedError(ConvsmithError, NotImplementedError):
    """A lowering, backend or mode that can't do what was asked; the message gives the reason."""


class DeviceError(ConvsmithError, RuntimeError):
    """A device, or the process that works on it, that was lost."""


class DataError(ConvsmithError, ValueError):
    """A file or folder that doesn't hold what it should (image, dataset, model)."""
