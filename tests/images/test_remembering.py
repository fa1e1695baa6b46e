"""Calls that are remembered: only what is equal in all that matters, and nobody's image."""

from __future__ import annotations

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from convsmith import images, kernels
from convsmith.errors import ArgumentError
from convsmith.kernels import registry

pytestmark = pytest.mark.backend_free


def test_a_call_again_sees_a_changed_kernel_and_another_image() -> None:
    kernel = np.ones((3, 3))
    first, second = np.full((5, 5), 1.0, "float32"), np.full((5, 5), 2.0, "float32")
    assert images.filter(first, kernel)[2, 2] == 9
    assert images.filter(second, kernel)[2, 2] == 18
    kernel[1, 1] = 11
    assert images.filter(second, kernel)[2, 2] == 38
    assert images.filter(second.astype("float64"), kernel).dtype == "float64"
    assert images.filter(first, kernel, padding_mode="constant")[0, 0] == 14
    line = np.ones(3)
    assert images.filter_lines(first, [line, line])[2, 2] == 9
    line[1] = 2
    assert images.filter_lines(first, [line, line])[2, 2] == 16
    assert images.filter_lines(second[:4], [line, line]).shape == (4, 5)


def test_a_name_that_is_registered_anew_is_looked_up_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(registry, "_BUILDERS", dict(registry._BUILDERS))
    image = np.ones((4, 4), "float32")
    for weight in (1.0, 2.0):
        kernels.register(
            "only_in_this_test", lambda weight=weight: np.full((1, 1), weight), overwrite=True
        )
        assert images.filter(image, "only_in_this_test")[0, 0] == weight


def test_options_that_are_equal_but_not_of_one_type() -> None:
    image = np.ones((4, 4), "float32")
    assert images.filter(image, np.ones((1, 1)), workers=1).shape == (4, 4)
    with pytest.raises(ArgumentError, match="workers=True"):
        images.filter(image, np.ones((1, 1)), workers=True)
    with pytest.raises(ArgumentError, match="anchor"):
        images.filter(image, np.ones((1, 1)), anchor=(0.0, 0))  # type: ignore[arg-type]
    assert images.filter(image, np.ones((1, 1)), anchor=(0, 0)).shape == (4, 4)


CALLS: dict[str, Any] = {
    "any kernel": lambda image: images.filter(image, np.arange(9.0).reshape(3, 3)),
    "a bank": lambda image: images.filter(image, np.arange(18.0).reshape(3, 3, 2)),
    "lines": lambda image: images.filter_lines(image, [[1, 5, 2], [3, 1, 1]]),
    "rescaled": lambda image: images.filter(image, np.ones((2, 3)), padding_mode="renormalize"),
    "a box": lambda image: images.box_blur(image, 5),
    "extremes": lambda image: images.dilate(image, np.ones((3, 5))),
}


@pytest.mark.parametrize("name", CALLS)
def test_many_images_at_once(name: str) -> None:
    """Threads that begin with the same first call, and images of all layouts."""
    call = CALLS[name]
    rng = np.random.default_rng(0)
    many = [rng.integers(0, 256, (3, 37, 29), "uint8").transpose(1, 2, 0) for _ in range(6)]
    many += [rng.integers(0, 256, (37, 29, 3), "uint8") for _ in range(6)]
    many += [rng.integers(0, 256, (74, 29, 3), "uint8")[::-2] for _ in range(6)]
    # One more row of another call, cut off: what no call can have remembered.
    expected = [call(np.pad(each, ((9, 9), (9, 9), (0, 0)), "reflect")) for each in many]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(call, many * 3))
    if name == "rescaled":
        expected = [call(each.copy()) for each in many]
        inner: Any = np.s_[:]
    else:
        inner = np.s_[9:-9, 9:-9]
    for one, other in zip(found, expected * 3, strict=True):
        np.testing.assert_array_equal(one, other[inner])


@pytest.mark.parametrize("name", CALLS)
def test_images_and_results_are_not_kept(name: str) -> None:
    held = []
    for _ in range(2):
        image = np.ones((31, 33), "uint8")
        result = CALLS[name](image)
        held += [weakref.ref(image), weakref.ref(result)]
        del image, result
    gc.collect()
    assert not any(each() is not None for each in held)
