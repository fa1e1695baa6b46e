"""Every parameter of every builder with everything that it isn't: refused, or a sound array."""

from __future__ import annotations

import functools
import inspect
from typing import Any

import numpy as np
import pytest

from convsmith import kernels
from convsmith.errors import ArgumentError, KernelError
from convsmith.kernels.catalogue import DIRECTIONAL, PLAIN

pytestmark = pytest.mark.backend_free

BUILDERS = (
    *PLAIN,
    *DIRECTIONAL,
    kernels.roberts,
    kernels.structuring_element,
    kernels.steering_weights,
    kernels.fornberg_weights,
)
NEEDED: dict[str, Any] = {"order": 1, "angle_radians": 0.0, "points": [0, 1]}
JUNK: list[Any] = [
    None,
    "nonsense",
    "",
    b"3",
    -1,
    0,
    -0.0,
    0.5,
    1e-300,
    1e300,
    10**30,
    10**400,
    10**5000,
    float("nan"),
    float("inf"),
    -float("inf"),
    True,
    False,
    1j,
    (),
    [],
    (1, 2, 3, 4),
    (1, float("nan")),
    (True, 1),
    ((1, 2), (3, 4)),
    {},
    {1: 2},
    {1, 2},
    object(),
    np.array([1, 2]),
    np.array([[1.0]]),
    np.float32("nan"),
    np.array(2),
    len,
]


def is_sound(kernel: Any) -> bool:
    """Return whether it is a float64 array without NaN, and infinite only where -inf means out."""
    return (
        isinstance(kernel, np.ndarray)
        and kernel.dtype == np.float64
        and kernel.size > 0
        and not np.isnan(kernel).any()
        and not (kernel == np.inf).any()
    )


def check_message(error: ArgumentError | KernelError) -> None:
    """Check that an error says what to do, in a few lines."""
    assert error.argument, error
    assert "expected " in str(error)
    assert "Try: " in str(error)
    assert len(str(error)) < 500


def parameters() -> list[Any]:
    """Return each builder with each of its parameters."""
    return [
        pytest.param(builder, name, id=f"{builder.__name__}-{name}")
        for builder in BUILDERS
        for name in inspect.signature(builder).parameters
    ]


@pytest.mark.parametrize(("builder", "name"), parameters())
def test_junk_is_refused_or_harmless(builder: Any, name: str) -> None:
    required = {
        key: NEEDED[key]
        for key, p in inspect.signature(builder).parameters.items()
        if p.default is inspect.Parameter.empty
    }
    call = functools.partial(builder, **required)
    assert is_sound(call())
    for value in JUNK:
        try:
            kernel = call(**{name: value})
        except ArgumentError as error:
            check_message(error)
        else:
            assert is_sound(kernel), value
            assert name == "points" or not isinstance(value, str | dict | set | complex), value


@pytest.mark.parametrize("builder", BUILDERS)
def test_what_is_not_a_number_is_refused(builder: Any) -> None:
    """NaN is no choice, no size and no width of any builder."""
    for key in inspect.signature(builder).parameters:
        required = {
            name: NEEDED[name]
            for name, p in inspect.signature(builder).parameters.items()
            if p.default is inspect.Parameter.empty
        }
        with pytest.raises(ArgumentError):
            builder(**{**required, key: float("nan")})


OPERATIONS: dict[str, tuple[Any, ...]] = {
    "compose": ([[1.0, 2.0]], [[1.0]]),
    "dilate": ([[1.0, 2.0]], 2),
    "normalize": ([[1.0, 2.0]],),
    "rotate": ([[1.0, 2.0]], 0.3),
    "frequency_response": ([[1.0, 2.0]],),
    "invert_layout": (np.ones((2, 3, 1, 1)), "OIHW"),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_refuse_junk_as_well(name: str) -> None:
    operation, good = getattr(kernels, name), OPERATIONS[name]
    operation(*good)
    keywords = [
        p.name
        for p in inspect.signature(operation).parameters.values()
        if p.kind is inspect.Parameter.KEYWORD_ONLY
    ]
    for value in JUNK:
        trials = [
            ((*good[:place], value, *good[place + 1 :]), {}) for place in range(len(good))
        ] + [(good, {key: value}) for key in keywords]
        for positional, keyword in trials:
            try:
                found = operation(*positional, **keyword)
            except (ArgumentError, KernelError) as error:
                check_message(error)
            else:
                found = found.response if name == "frequency_response" else found
                assert np.isfinite(found).all()
