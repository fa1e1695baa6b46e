"""A planned product of two operands as a JAX primitive.

As a primitive it has its gradients (reverse and forward mode, any order), its rule for `vmap` (the
step with one more named axis, planned anew: mapping over a kernel gives a convolution per sample)
and its lowering, all in terms of planned steps.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.core as core
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jax.sharding import AxisType, get_abstract_mesh

from convsmith.lowerings.base import Product

product_p = Primitive("convsmith_product")


def bilinear(product: Product, one: Any, other: Any) -> Any:
    """Return the product of two arrays."""
    if AxisType.Manual in get_abstract_mesh().axis_types:
        # Under `shard_map` JAX sums the gradients of what all devices have alike, such as kernels,
        # but for its own operations only.
        return product(one, other)
    return product_p.bind(one, other, product=product)


def _run(one: Any, other: Any, *, product: Product) -> Any:
    return product(one, other)


def _compute(one: Any, other: Any, *, product: Product) -> Any:
    compiled = product.compiled
    if compiled is None:
        compiled = product.compiled = jax.jit(partial(_run, product=product))
    return compiled(one, other)


def _abstract(one: Any, other: Any, *, product: Product) -> Any:
    return core.ShapedArray(product.output_shape, one.dtype)


def _gradient_of_one(cotangent: Any, one: Any, other: Any, *, product: Product) -> Any:
    return product.gradient(0, cotangent, other)


def _gradient_of_other(cotangent: Any, one: Any, other: Any, *, product: Product) -> Any:
    return product.gradient(1, cotangent, one)


def _batch(operands: tuple[Any, Any], axes: tuple[Any, Any], *, product: Product) -> Any:
    mapped = tuple(axis is not None for axis in axes)
    moved = [
        jnp.moveaxis(x, axis, 0) if has else x
        for x, axis, has in zip(operands, axes, mapped, strict=True)
    ]
    size = moved[mapped.index(True)].shape[0]
    return product_p.bind(*moved, product=product.batched(size, mapped)), 0


product_p.def_impl(_compute)
product_p.def_abstract_eval(_abstract)
ad.defbilinear(product_p, _gradient_of_one, _gradient_of_other)
batching.primitive_batchers[product_p] = _batch
mlir.register_lowering(product_p, mlir.lower_fun(_run, multiple_results=False))
