"""Kernel transforms: standardisation and the ways to name, compose and save one."""

from __future__ import annotations

import json
from typing import Any

import keras
import numpy as np
import pytest

from convsmith import transforms
from convsmith.errors import ArgumentError, DtypeError, KernelError


@keras.saving.register_keras_serializable(package="tests")
def flip_signs(kernel: Any) -> Any:
    return -kernel


def unregistered(kernel: Any) -> Any:
    return kernel


def random_kernel(shape: tuple[int, ...], dtype: str = "float32") -> np.ndarray:
    return np.random.default_rng(0).normal(3, 2, shape).astype(dtype)


def as_numpy(tensor: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor)


@pytest.mark.parametrize("shape", [(3, 4, 5), (3, 3, 2, 7), (2, 3, 2, 4, 5), (1, 1, 2, 3), (9, 2)])
def test_standardize_is_the_formula(shape: tuple[int, ...]) -> None:
    kernel = random_kernel(shape)
    axes = tuple(range(len(shape) - 1))
    mean, variance = kernel.mean(axes), kernel.var(axes)  # NumPy's variance is the biased one
    expected = (kernel - mean) / np.sqrt(variance + 0.1)
    np.testing.assert_allclose(as_numpy(transforms.standardize(kernel, 0.1)), expected, atol=1e-5)


def test_standardize_forgets_offset_and_scale_of_each_filter() -> None:
    kernel = random_kernel((3, 3, 4, 5))
    moved = kernel * np.arange(1, 6, dtype="float32") + 7
    np.testing.assert_allclose(
        as_numpy(transforms.standardize(moved, 1e-12)),
        as_numpy(transforms.standardize(kernel, 1e-12)),
        atol=1e-4,
    )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_fact_08_constant_kernel_gives_finite_zeros_in_half_precision(dtype: str) -> None:
    constant = keras.ops.full((3, 3, 2, 4), 0.5, dtype)
    result = transforms.standardize(constant, epsilon=1e-10)
    assert keras.backend.standardize_dtype(result.dtype) == dtype
    np.testing.assert_array_equal(as_numpy(keras.ops.cast(result, "float32")), 0)


def test_half_precision_is_computed_in_float32() -> None:
    # Squares of 300 overflow float16.
    kernel = random_kernel((3, 3, 4, 2)) * 300
    wide = as_numpy(transforms.standardize(kernel))
    half = as_numpy(transforms.standardize(kernel.astype("float16")))
    assert half.dtype == np.float16
    np.testing.assert_allclose(half, wide, atol=5e-3)


def test_integers_give_float32() -> None:
    result = transforms.standardize(np.arange(9, dtype="int32").reshape(9, 1))
    assert keras.backend.standardize_dtype(result.dtype) == "float32"
    np.testing.assert_allclose(as_numpy(result).std(), 1, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1, 1, 8), (1, 4), (5,)])
def test_fact_08_single_number_filters_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(KernelError, match="which would always become 0; expected at least two"):
        transforms.standardize(np.ones(shape, "float32"))


def test_complex_kernels_are_refused() -> None:
    with pytest.raises(DtypeError, match=r"kernel of dtype complex64: is complex"):
        transforms.standardize(np.ones((3, 3, 1, 1), "complex64"))


@pytest.mark.parametrize("epsilon", [0, -1e-5, float("nan"), float("inf"), "small", True])
def test_bad_epsilon(epsilon: Any) -> None:
    for use in (transforms.Standardize, lambda e: transforms.standardize(np.ones((3, 1)), e)):
        with pytest.raises(ArgumentError, match=r"epsilon=.* is not a positive finite number"):
            use(epsilon)


def test_names() -> None:
    assert "standardize" in transforms.names()


@pytest.mark.parametrize(
    "identifier",
    [
        "standardize",
        transforms.Standardize(0.1),
        transforms.standardize,
        flip_signs,
        ["standardize", flip_signs],
        (transforms.Standardize(0.2),),
        [],
    ],
)
def test_saved_form_is_json_and_reads_back(identifier: Any) -> None:
    transform = transforms.get(identifier)
    assert transform is not None
    saved = json.loads(json.dumps(transforms.serialize(transform)))
    loaded = transforms.get(saved)
    assert loaded is not None
    assert repr(loaded) == repr(transform)
    kernel = random_kernel((3, 3, 1, 2))
    np.testing.assert_array_equal(as_numpy(loaded(kernel)), as_numpy(transform(kernel)))


def test_none_stays_none() -> None:
    assert transforms.get(None) is None
    assert transforms.serialize(None) is None


def test_compose_applies_the_first_first() -> None:
    assert transforms.Compose([lambda k: k + 1, lambda k: k * 10])(2) == 30


def test_a_list_applies_all_in_order() -> None:
    assert transforms.get([lambda k: k + 1, lambda k: k * 10])(2) == 30  # type: ignore[misc]


def test_transforms_with_equal_settings_are_equal() -> None:
    assert transforms.Standardize(0.1) == transforms.Standardize(0.1)
    assert transforms.Standardize(0.1) != transforms.Standardize(0.2)
    assert len({transforms.Standardize(0.1), transforms.Standardize(0.1)}) == 1


def test_a_registered_name_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from convsmith.transforms import registry

    monkeypatch.setattr(registry, "_FACTORIES", dict(registry._FACTORIES))
    transforms.register("flip_signs", lambda: flip_signs)
    assert transforms.get("flip_signs") is flip_signs
    with pytest.raises(
        ArgumentError, match=r"transforms.register\('flip_signs'.*expected a name oth"
    ):
        transforms.register("flip_signs", lambda: flip_signs)
    with pytest.raises(ArgumentError, match="and a callable"):
        transforms.register("three", 3)  # type: ignore[arg-type]


def test_base_class_asks_for_call() -> None:
    with pytest.raises(NotImplementedError, match="must define __call__"):
        transforms.KernelTransform()(1)


@pytest.mark.parametrize(
    ("identifier", "words"),
    [
        ("standardise", r"'standardise': is not a registered .* Try: .*'standardize'"),
        ("qq", r"Try: transforms.register first"),
        (transforms.Standardize, r"=Standardize: is a class.* Try: .*Standardize\(\)"),
        (3, r"kernel_transform=3: is not a transform; expected a name"),
        ([None], r"kernel_transform=None: is not a transform inside a list"),
    ],
)
def test_what_is_no_transform_is_refused(identifier: Any, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        transforms.get(identifier)


@pytest.mark.parametrize("transform", [lambda kernel: kernel, unregistered])
def test_functions_that_cannot_be_found_again_are_not_saved(transform: Any) -> None:
    with pytest.raises(
        ArgumentError, match="can't be found again when a model that uses it is loaded"
    ):
        transforms.serialize(transform)
