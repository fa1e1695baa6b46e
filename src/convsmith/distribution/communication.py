"""What a training step sends between devices, by formula."""

from __future__ import annotations


def reduced_bytes(parameter_bytes: int, devices: int) -> float:
    """Return the bytes that each device sends to sum gradients over all: a ring all-reduce.

    Equation: ``2 (n - 1) / n * parameter_bytes`` for n devices: each sends n - 1 of n parts on
    their way to the sums, and as many sums on their way back. No algorithm sends less.

    Args:
        parameter_bytes: of the trained weights, in the dtype of their gradients.
        devices: how many share a batch.

    Example:
        >>> reduced_bytes(1_000_000, devices=4)
        1500000.0

    Source: Patarasuk, Yuan, "Bandwidth optimal all-reduce algorithms", 2009.
    """
    return 2 * (devices - 1) / devices * parameter_bytes


def gathered_bytes(activation_bytes: int, devices: int) -> float:
    """Return the bytes that each device sends so that all have activations that are in parts.

    Equation: ``(n - 1) / n * activation_bytes`` for n devices, each of which has one of n parts:
    a ring all-gather. The gradient with respect to them is summed and split again, which sends as
    much (a reduce-scatter).

    Args:
        activation_bytes: of the whole, all channels of all samples that these devices share.
        devices: how many share the channels.

    Example:
        >>> gathered_bytes(1_000_000, devices=4)
        750000.0

    Source: as `reduced_bytes`.
    """
    return (devices - 1) / devices * activation_bytes
