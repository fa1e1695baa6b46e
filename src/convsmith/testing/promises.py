"""A check states its promise: what fails within it says which promise broke."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def promise(name: str) -> Iterator[None]:
    """Turn whatever is raised within into an AssertionError that begins with the promise's name.

    Raises:
        AssertionError: something was raised.

    Example:
        >>> with promise("sums"):
        ...     assert 1 + 1 == 3, "1 + 1 is 2"
        Traceback (most recent call last):
        AssertionError: sums: 1 + 1 is 2

    Source: none.
    """
    try:
        yield
    except AssertionError as error:
        raise AssertionError(f"{name}: {error}") from error
    except Exception as error:
        raise AssertionError(f"{name}: {type(error).__name__}: {error}") from error
