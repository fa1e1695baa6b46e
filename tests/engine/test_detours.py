"""Ways around slow convolutions of backends: the same numbers, and really taken."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import convsmith as cs
from engine_cases import Case
from engine_runs import BACKEND, MODES, assert_close, check_values_and_gradients, tensors

IMAGE = "b (h+kh) (w+kw) i, kh kw i o -> b h w o"
STRIDED = "b (2h+kh) (2w+kw) i, kh kw i o -> b h w o"
DILATED = "b (h+2kh) (w+2kw) i, kh kw i o -> b h w o"
FIRST = "b i (h+kh) (w+kw), kh kw i o -> b o h w"
VOLUME = "b (d+kd) (h+kh) (w+kw) i, kd kh kw i o -> b d h w o"

CASES = {
    "no pads": Case(IMAGE, ((1, 45, 44, 24), (5, 5, 24, 2))),
    "no pads, strided": Case(STRIDED, ((1, 46, 45, 24), (5, 5, 24, 2))),
    "no pads, strided, even": Case(STRIDED, ((1, 47, 46, 24), (5, 5, 24, 2))),
    "no pads, dilated": Case(DILATED, ((1, 45, 44, 24), (5, 5, 24, 2))),
    "no pads, channels first": Case(FIRST, ((1, 24, 45, 44), (5, 5, 24, 2))),
    "three channels": Case(IMAGE, ((2, 7, 6, 3), (3, 3, 3, 24)), {"padding": "same"}),
    "three channels, strided": Case(STRIDED, ((2, 7, 6, 3), (3, 2, 3, 25))),
    "three channels first": Case(FIRST, ((2, 3, 7, 6), (3, 3, 3, 24)), {"padding": "same"}),
    "volume": Case(VOLUME, ((2, 5, 6, 4, 3), (3, 2, 3, 3, 4)), {"padding": "same"}),
    "volume, channels first": Case(
        "b i (d+kd) (h+kh) (w+kw), kd kh kw i o -> b o d h w",
        ((2, 3, 5, 6, 4), (3, 2, 3, 3, 4)),
        {"padding": "same"},
    ),
    "volume, one plane": Case(VOLUME, ((2, 5, 6, 4, 3), (1, 2, 3, 3, 4))),
    "volume, strided and dilated": Case(
        "b (2d+3kd) (3h+2kh) (2w+2kw) i, kd kh kw i o -> b d h w o",
        ((2, 12, 9, 8, 3), (3, 2, 3, 3, 4)),
        {"padding": (2, 1)},
    ),
    "volume, flipped": Case(
        "b (d-kd) (h+kh) (w+kw) i, kd kh kw i o -> b d h w o", ((2, 5, 6, 4, 3), (3, 2, 3, 3, 4))
    ),
    "volume, written": Case(
        "b d h w i, kd kh kw i o -> b (2d+kd) (h+kh) (w+kw) o", ((2, 3, 4, 4, 3), (3, 2, 3, 3, 4))
    ),
}


@pytest.mark.parametrize("mode", [m for m in MODES if m != "compiled"])
@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients(name: str, mode: str) -> None:
    check_values_and_gradients(CASES[name], mode, lowering="native")


@pytest.mark.skipif(BACKEND != "jax", reason="XLA's convolutions as JAX calls them")
@pytest.mark.parametrize(
    ("name", "sign"),
    [
        ("no pads", "padding=((0, 0), (0, 1))"),
        ("no pads, strided", "padding=((0, 0), (0, 1))"),
        ("no pads, channels first", "padding=((0, 0), (0, 1))"),
        ("three channels", "f32[3,3,4,24]"),
        ("volume", "f32[10,6,4,3]"),
    ],
)
def test_the_detour_is_taken(name: str, sign: str) -> None:
    import jax

    def compute(*xs: Any) -> Any:
        case = CASES[name]
        return cs.conv(case.pattern, *xs, lowering="native", **case.arguments)

    assert sign in str(jax.make_jaxpr(compute)(*tensors(CASES[name].operands(), "float32")))


@pytest.mark.skipif(BACKEND != "tensorflow", reason="XLA's convolutions as TensorFlow calls them")
def test_volumes_are_taken_in_planes_under_xla_only() -> None:
    import tensorflow

    tf: Any = tensorflow
    case = CASES["volume"]
    xs = tensors(case.operands(), "float32")

    def compute(*xs: Any) -> Any:
        return cs.conv(case.pattern, *xs, lowering="native", **case.arguments)

    def convolutions(jit: bool) -> set[str]:
        graph = tf.function(compute, jit_compile=jit).get_concrete_function(*xs).graph
        return {op.type for op in graph.get_operations() if op.type.startswith("Conv")}

    assert convolutions(True) == {"Conv2D"}
    assert convolutions(False) == {"Conv3D"}


@pytest.mark.parametrize("mode", [m for m in MODES if m != "compiled"])
def test_volumes_whose_height_and_width_are_dilated_differently(mode: str) -> None:
    """TensorFlow's graphs infer shapes with the two dilations exchanged."""
    case = Case(
        "b (d+kd) (h+kh) (w+2kw) i, kd kh kw i o -> b d h w o", ((2, 3, 3, 5, 2), (1, 1, 2, 2, 3))
    )
    check_values_and_gradients(case, mode)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_halves_are_not_rounded_after_each_plane(dtype: str) -> None:
    case = Case(VOLUME, ((1, 11, 3, 3, 64), (9, 3, 3, 64, 2)))
    operands = case.operands(dtype)
    y = cs.conv(case.pattern, *tensors(operands, dtype))
    rounded = [np.asarray(x, "float64") for x in operands]
    assert_close(y, case.expected(rounded), dtype, "halves")


@pytest.mark.skipif(BACKEND != "tensorflow", reason="a graph shows what is done")
def test_a_matrix_product_after_a_convolution_transposes_nothing() -> None:
    import tensorflow

    tf: Any = tensorflow
    shapes = ((2, 8, 8, 4), (3, 3, 4), (4, 6))
    xs = [tf.ones(shape) for shape in shapes]

    def compute(*xs: Any) -> Any:
        return cs.conv("b (h+kh) (w+kw) c, kh kw c, c o -> b h w o", *xs, padding="same")

    operations = tf.function(compute).get_concrete_function(*xs).graph.get_operations()
    assert "MatMul" in {op.type for op in operations}
    assert "Transpose" not in {op.type for op in operations}


@pytest.mark.parametrize("mode", MODES)
def test_one_filter_for_one_sample_has_gradients(mode: str) -> None:
    """PyTorch's own gradient refuses such kernels where their memory is channels last."""
    case = Case(IMAGE, ((1, 5, 6, 2), (3, 2, 2, 1)))
    check_values_and_gradients(case, mode, lowering="native")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("filters", [1, 3])
def test_one_channel_to_a_single_column(mode: str, filters: int) -> None:
    """oneDNN reads other memory then: on TensorFlow, and on PyTorch where it is channels last."""
    pattern = "b (h+kh) (4w+kw) i, kh kw i o -> b h w o"
    more = {"lowering": "native"} if BACKEND == "torch" else {}
    case = Case(pattern, ((2, 10, 5, 1), (1, 5, 1, filters)))
    check_values_and_gradients(case, mode, **more)
    padded = Case(pattern, ((2, 10, 2, 1), (1, 5, 1, filters)), {"padding": "same"})
    check_values_and_gradients(padded, mode, **more)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="PyTorch has a way around it")
def test_tensorflow_does_not_convolve_one_channel_to_a_single_column() -> None:
    pattern = "b (h+kh) (4w+kw) i, kh kw i o -> b h w o"
    kernel = (1, 5, 1, 3)
    for mode in ("eager", "graph"):
        single = cs.plan(pattern, (2, 10, 5, 1), kernel, mode=mode)
        assert single.lowering != "native"
        (step,) = single.steps
        (native,) = (c for c in step.choices if c.lowering == "native")
        assert "a single column" in native.reason
        wide = cs.plan(pattern, (2, 10, 9, 1), kernel, mode=mode)
        assert any(c.ok for c in wide.steps[0].choices if c.lowering == "native")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("pattern", "shapes"),
    [
        ("b (2h+kh) (w+kw) i, kh kw i o -> b h w o", ((1, 4, 11, 2), (1, 1, 2, 3))),
        ("b h w i, kh kw i o -> b (2h+kh) (w+kw) o", ((1, 2, 11, 3), (1, 1, 3, 2))),
        ("b (2h+kh) (2w+kw) i, kh kw i o -> b h w o", ((1, 8, 6, 4), (1, 1, 4, 8))),
    ],
)
def test_strided_single_taps(mode: str, pattern: str, shapes: Any) -> None:
    """TensorFlow's own kernel gradient writes over other memory, or aborts the process."""
    check_values_and_gradients(Case(pattern, shapes), mode)
    if BACKEND == "tensorflow" and mode != "xla":
        step = cs.plan(pattern, *shapes, mode=mode).steps[0]
        assert step.lowering != "native"
        (native,) = (c for c in step.choices if c.lowering == "native")
        assert "strided single taps" in native.reason
