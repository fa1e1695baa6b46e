"""Generated configurations of all convolution layers: the arguments, and what they must compute."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import numpy as np

from convsmith import layers
from convsmith.errors import ShapeError
from convsmith.testing.contract import Array, LayerCase, Reference
from layer_cases import definition, depthwise_definition, transposed_definition

SEED = 20261121
KINDS: list[tuple[str, int, type[Any]]] = [
    (kind, rank, getattr(layers, name.format(rank)))
    for rank in (1, 2, 3)
    for kind, name in (
        ("dense", "Conv{}D"),
        ("depthwise", "DepthwiseConv{}D"),
        ("separable", "SeparableConv{}D"),
        ("transposed", "Conv{}DTranspose"),
    )
]
WORDS = ("valid", "same", "same_lower", "full", "causal")
MODES = ("constant", "edge", "reflect", "symmetric", "wrap", "renormalize")
FOLDING = ("constant", "edge", "reflect", "symmetric", "wrap")
MOST_TAPS = {1: 5, 2: 5, 3: 3}
SIZES = {1: 17, 2: 11, 3: 8}


def battery_case(number: int) -> LayerCase:
    """Return configuration `number`: always the same, and one whose output isn't empty."""
    kind, rank, layer_class = KINDS[number % len(KINDS)]
    for attempt in count():
        random = np.random.default_rng((SEED, number, attempt))
        arguments, shape = _draw(random, kind, rank)
        try:
            layer_class(**arguments).compute_output_shape(shape)
        except ShapeError:
            continue  # The windows don't fit, or the crop leaves nothing.
        reference = _reference(kind, rank, arguments)
        return LayerCase(layer_class, arguments, shape, reference, seed=number)
    raise AssertionError


def _draw(
    random: np.random.Generator, kind: str, rank: int
) -> tuple[dict[str, Any], tuple[int, ...]]:
    def per_axis(low: int, high: int) -> Any:
        if random.random() < 0.5:
            return int(random.integers(low, high + 1))
        return tuple(random.integers(low, high + 1, rank).tolist())

    arguments: dict[str, Any] = {
        "kernel_size": per_axis(1, MOST_TAPS[rank]),
        "strides": per_axis(1, 4),
        "dilation_rate": per_axis(1, 3),
        "padding": _padding(random, rank),
        "use_bias": bool(random.random() < 0.5),
        "data_format": str(random.choice(["channels_last", "channels_first"])),
    }
    # Keras refuses both together; let it take part in most of the cases.
    plain = random.random()
    if plain < 0.4:
        arguments["strides"] = 1
    elif plain < 0.8:
        arguments["dilation_rate"] = 1
    channels = int(random.integers(1, 4))
    if kind in ("dense", "transposed"):
        groups = int(random.choice([1, 1, 2, 3]))
        channels *= groups
        arguments |= {"filters": groups * int(random.integers(1, 3)), "groups": groups}
    if kind == "separable":
        arguments["filters"] = int(random.integers(1, 4))
    if kind in ("depthwise", "separable"):
        arguments["depth_multiplier"] = int(random.integers(1, 3))
    modes = FOLDING if kind == "transposed" else MODES
    if random.random() < 0.4:
        arguments["padding_mode"] = str(random.choice(modes))
    elif kind != "transposed" and random.random() < 0.15:
        arguments["padding_value"] = 1.5
    if kind == "transposed" and random.random() < 0.3:
        stride, dilation = (
            _axes(arguments["strides"], rank),
            _axes(arguments["dilation_rate"], rank),
        )
        arguments["output_padding"] = tuple(
            int(random.integers(0, max(s, d))) for s, d in zip(stride, dilation, strict=True)
        )
    sizes = random.integers(1, SIZES[rank] // (2 if kind == "transposed" else 1) + 1, rank).tolist()
    batch = int(random.integers(1, 3))
    if arguments["data_format"] == "channels_last":
        return arguments, (batch, *sizes, channels)
    return arguments, (batch, channels, *sizes)


def _padding(random: np.random.Generator, rank: int) -> Any:
    way = random.random()
    if way < 0.7:
        return str(random.choice(WORDS, p=[0.3, 0.4, 0.1, 0.1, 0.1]))
    if way < 0.8:
        return int(random.integers(0, 3))
    pairs = [tuple(random.integers(-1, 4, 2).tolist()) for _ in range(rank)]
    return pairs[0] if rank == 1 else tuple(pairs)


def _axes(value: Any, rank: int) -> tuple[int, ...]:
    return (value,) * rank if isinstance(value, int) else tuple(value)


def _reference(kind: str, rank: int, arguments: dict[str, Any]) -> Reference:
    known = ("strides", "dilation_rate", "padding_mode")
    options = {k: arguments[k] for k in known if k in arguments}
    if kind == "transposed":
        compute = transposed_definition(
            rank, crop=_crops(rank, arguments), groups=arguments["groups"], **options
        )
    else:
        options |= {k: arguments[k] for k in ("padding", "padding_value") if k in arguments}
        if kind == "dense":
            compute = definition(rank, groups=arguments["groups"], **options)
        else:
            compute = depthwise_definition(rank, **options)
    return compute if arguments["data_format"] == "channels_last" else _channels_first(compute)


def _channels_first(compute: Reference) -> Reference:
    def moved(inputs: Array, weights: list[Array]) -> Array:
        return np.moveaxis(compute(np.moveaxis(inputs, 1, -1), weights), -1, 1)

    return moved


def _crops(rank: int, arguments: dict[str, Any]) -> tuple[tuple[int, int], ...]:
    """What each side of a transposed output loses: Keras's sizes, written down once more."""
    padding, more = arguments["padding"], arguments.get("output_padding")
    entries = padding if isinstance(padding, tuple) else (padding,) * rank
    if rank == 1 and isinstance(padding, tuple):
        entries = (padding,)
    crops: list[tuple[int, int]] = []
    for axis in range(rank):
        taps, stride, dilation = (
            _axes(arguments[k], rank)[axis] for k in ("kernel_size", "strides", "dilation_rate")
        )
        added = None if more is None else more[axis]
        crops.append(_crop(entries[axis], dilation * (taps - 1) + 1, stride, added))
    return tuple(crops)


def _crop(entry: Any, reach: int, stride: int, added: int | None) -> tuple[int, int]:
    if isinstance(entry, tuple):
        return entry[0], entry[1] - (added or 0)
    if isinstance(entry, int):
        return entry, entry - (added or 0)
    if entry == "same" and added is not None:
        low = max((2 * (reach // 2) - added) // 2, 0)
        return low, 2 * (reach // 2) - added - low
    ways: dict[str, Callable[[], tuple[int, int]]] = {
        # strides * size + max(reach - strides, 0) entries, or what the windows reach and `added`.
        "valid": lambda: (0, min(reach - stride, 0) if added is None else -added),
        # strides * size entries, the smaller half of the rest cut off in front.
        "same": lambda: (max(reach - stride, 0) // 2, reach - stride - max(reach - stride, 0) // 2),
        "same_lower": lambda: (
            (max(reach - stride, 0) + 1) // 2,
            reach - stride - (max(reach - stride, 0) + 1) // 2 - (added or 0),
        ),
        "full": lambda: (reach - 1, reach - 1 - (added or 0)),
        "causal": lambda: (reach - 1, -(added or 0)),
    }
    return ways[entry]()
