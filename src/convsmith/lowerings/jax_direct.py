"""The compiled kernels as a JAX primitive: XLA's foreign function, or a portable way on export.

What `jax.export` writes must run where nothing was built, so there the step is computed by what
XLA has.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import jax
import jax.core as core
import numpy as np
from jax.extend.core import Primitive
from jax.interpreters import mlir

from convsmith.direct import library

direct_p = Primitive("convsmith_direct")


def direct(
    program: tuple[int, ...],
    shape: tuple[int, ...],
    one: Any,
    other: Any,
    portable: Callable[..., Any],
) -> Any:
    """Return what a program makes of two arrays, or `portable(one, other)` where it's exported."""
    return direct_p.bind(one, other, program=program, shape=shape, portable=portable)


@cache
def _register() -> None:
    door = library.door("jax")
    jax.ffi.register_ffi_target(
        library.TARGET, jax.ffi.pycapsule(door.convsmith_handler), platform="cpu"
    )


def _abstract(one: Any, other: Any, *, shape: tuple[int, ...], **_: Any) -> Any:
    return core.ShapedArray(shape, one.dtype)


def _lower(
    context: Any,
    one: Any,
    other: Any,
    *,
    program: tuple[int, ...],
    shape: tuple[int, ...],
    portable: Callable[..., Any],
) -> Any:
    module = context.module_context
    if (
        module.lowering_parameters.for_export
        or tuple(module.platforms) != ("cpu",)
        or _is_split(module.axis_context)
    ):
        return mlir.lower_fun(portable, multiple_results=False)(context, one, other)
    _register()
    rule = jax.ffi.ffi_lowering(library.TARGET)
    return rule(
        context,
        one,
        other,
        program=np.asarray(program, np.int64),
        threads=np.int64(library.threads()),
    )


def _is_split(axes: Any) -> bool:
    """Whether XLA splits the module over devices, which makes each of them run the whole call."""
    if isinstance(axes, mlir.ShardingContext):
        return axes.num_devices > 1
    if isinstance(axes, mlir.SPMDAxisContext):  # Under `shard_map`, each device has its own part.
        sizes = axes.mesh.shape
        return any(sizes[name] > 1 for name in sizes if name not in axes.manual_axes)
    return False


direct_p.def_impl(lambda *x, **parameters: jax.jit(partial(direct_p.bind, **parameters))(*x))
direct_p.def_abstract_eval(_abstract)
mlir.register_lowering(direct_p, _lower)
