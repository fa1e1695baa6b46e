"""The compiled kernels in TensorFlow: an operation of their own, and a custom call under XLA."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import tensorflow as tf
from tensorflow.compiler.tf2xla.ops import gen_xla_ops

from convsmith.direct import library

Tensor = Any


def operation(
    program: tuple[int, ...], shape: tuple[Any, ...], one: Tensor, other: Tensor
) -> Tensor:
    """Return what a program makes of two tensors; entries of `shape` may be tensors."""
    known = all(isinstance(n, int) for n in shape)
    return _operations().convsmith_direct(
        one=one,
        other=other,
        shape=shape if known else tf.stack([tf.cast(n, tf.int64) for n in shape]),
        program=program,
        threads=library.threads(),
    )


def custom_call(
    program: tuple[int, ...], shape: tuple[int, ...], one: Tensor, other: Tensor
) -> Tensor:
    """Return what a program makes of two tensors in a graph that XLA compiles."""
    _operations()
    lists = (program, one.shape.as_list(), other.shape.as_list(), shape)
    dtype = library.DTYPES.index(one.dtype.name)
    text = " ".join(str(n) for n in (dtype, library.threads(), *_counted(lists)))
    results: Any = gen_xla_ops.xla_custom_call_v2(
        operands=[one, other],
        call_target_name=library.TARGET,
        backend_config=text,
        has_side_effect=False,
        result_dtypes=[one.dtype],
        result_shapes=[tf.TensorShape(shape)],
    )
    return results[0]


@cache
def _operations() -> Any:
    """The operations of the compiled library, which know the kernels from then on."""
    operations = tf.load_op_library(str(library.path("tensorflow")))
    library.door("tensorflow")
    return operations


def _counted(lists: Any) -> Iterator[int]:
    for numbers in lists:
        yield len(numbers)
        yield from numbers
