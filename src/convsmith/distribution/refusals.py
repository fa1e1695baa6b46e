"""Refusing more devices than there are."""

from __future__ import annotations

from collections.abc import Sequence

from convsmith.errors import ArgumentError, compose


def too_few(count: int, found: int, names: Sequence[str], fix: str) -> ArgumentError:
    """Return the error for `count` devices where there are `found`."""
    return ArgumentError(
        compose(
            f"--devices {count}",
            f"there {'is' if found == 1 else 'are'} {found}",
            expected=f"1 to {found}" if found > 1 else "1",
            received=", ".join(names),
            fix=fix,
        ),
        argument="devices",
        value=count,
    )
