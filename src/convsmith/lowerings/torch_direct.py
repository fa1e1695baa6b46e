"""The compiled kernels as a PyTorch operation, on PyTorch's own threads."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch

from convsmith.direct import library

Tensor = Any

_OPERATIONS = torch.library.Library("convsmith", "DEF")
_OPERATIONS.define("direct(Tensor one, Tensor other, int[] program, int[] shape) -> Tensor")


def _direct(one: Tensor, other: Tensor, program: list[int], shape: list[int]) -> Tensor:
    one, other = one.contiguous(), other.contiguous()
    result = one.new_empty(shape)
    numbers = library.numbers
    wrong = _kernels()(
        numbers(program),
        len(program),
        library.DTYPES.index(str(one.dtype).removeprefix("torch.")),
        one.data_ptr(),
        numbers(one.shape),
        one.ndim,
        other.data_ptr(),
        numbers(other.shape),
        other.ndim,
        result.data_ptr(),
        numbers(shape),
        len(shape),
        torch.get_num_threads(),
        None,
    )
    if wrong is not None:
        raise MemoryError(wrong.decode())
    return result


@cache
def _kernels() -> Any:
    """The function that runs a program, on PyTorch's own threads where they can be had.

    Those spin for a while after each call, so that a second team would have no processor.
    """
    function = library.core()
    for place in _loaded_libraries("libgomp"):
        entry = getattr(ctypes.CDLL(place), "GOMP_parallel", None)
        if entry is not None:
            library.share_threads(ctypes.cast(entry, ctypes.c_void_p).value or 0)
            break
    return function


def _loaded_libraries(name: str) -> list[str]:
    try:
        lines = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    places = dict.fromkeys(line.split()[-1] for line in lines if name in line)
    # PyTorch brings one of its own, and others may be there.
    return sorted(places, key=lambda place: "torch" not in place)


_OPERATIONS.impl("direct", _direct, "CPU")
_OPERATIONS.impl("direct", lambda one, other, program, shape: one.new_empty(shape), "Meta")


def _direct_of_each(info: Any, mapped: Any, one: Tensor, other: Tensor, *rest: Any) -> Any:
    """One run for each entry of a mapped axis."""
    sides = [
        (x.movedim(axis, 0) if axis is not None else x.expand(info.batch_size, *x.shape))
        for x, axis in zip((one, other), mapped[:2], strict=True)
    ]
    runs = [torch.ops.convsmith.direct(a, b, *rest) for a, b in zip(*sides, strict=True)]
    return torch.stack(runs), 0


torch.library.register_vmap("convsmith::direct", _direct_of_each)


def direct(
    program: tuple[int, ...],
    shape: tuple[int, ...],
    one: Tensor,
    other: Tensor,
    portable: Callable[..., Any],
) -> Tensor:
    """Return what a program of the compiled kernels makes of two tensors."""
    return torch.ops.convsmith.direct(one, other, program, shape)
