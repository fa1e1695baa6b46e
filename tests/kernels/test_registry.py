"""Names for kernels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from convsmith import kernels
from convsmith.errors import ArgumentError
from convsmith.kernels import registry

pytestmark = pytest.mark.backend_free


@pytest.fixture
def own_names() -> Iterator[None]:
    """Forget what a test registers."""
    before = dict(registry._BUILDERS)
    yield
    registry._BUILDERS.clear()
    registry._BUILDERS.update(before)


def test_the_first_names_are_there() -> None:
    assert set(kernels.names()) >= {"sobel_x", "sobel_y", "laplacian", "identity", "box"}
    assert list(kernels.names()) == sorted(kernels.names())


@pytest.mark.parametrize("name", kernels.names())
def test_every_name_builds_an_array_at_each_of_its_ranks(name: str) -> None:
    known = kernels.describe(name)
    for ndim in known.ndims:
        kernel = kernels.get(name, ndim=ndim)
        assert kernel.dtype == np.float64
        assert kernel.ndim == ndim + known.bank
        # Structuring elements are -inf outside, and nothing else is anything like it.
        inside = kernel[kernel > -np.inf] if name.startswith("structuring_") else kernel
        assert np.isfinite(inside).all()


@pytest.mark.parametrize("name", kernels.names())
def test_every_name_builds_without_arguments_and_all_but_z_in_images(name: str) -> None:
    known = kernels.describe(name)
    assert (2 in known.ndims) == (not name.endswith("_z"))
    default = kernels.get(name, ndim=2 if 2 in known.ndims else 3)
    np.testing.assert_array_equal(kernels.get(name), default)


@pytest.mark.parametrize("name", kernels.names())
def test_an_impossible_rank_is_refused_clearly(name: str) -> None:
    for ndim in {1, 2, 3} - set(kernels.describe(name).ndims):
        with pytest.raises(ArgumentError, match=r"expected .* Try: .*(ndim=|axis=)"):
            kernels.get(name, ndim=ndim)


def test_get_returns_a_new_array_each_time() -> None:
    kernels.get("sobel_x")[:] = 0
    assert kernels.get("sobel_x").any()


@pytest.mark.usefixtures("own_names")
def test_registered_builders_are_told_the_rank_only_if_they_ask() -> None:
    kernels.register("pair", lambda: np.array([[1.0, -1.0]]))
    kernels.register("ones", lambda ndim: np.ones((2,) * ndim))
    assert kernels.get("pair", ndim=2).shape == (1, 2)
    assert kernels.get("ones", ndim=3).shape == (2, 2, 2)


@pytest.mark.usefixtures("own_names")
def test_overwrite_replaces_a_name() -> None:
    kernels.register("box", lambda: np.ones((1, 1)), overwrite=True)
    assert kernels.get("box").shape == (1, 1)


@pytest.mark.usefixtures("own_names")
def test_register_decorates() -> None:
    @kernels.register("pair")
    def pair(gap: int = 1) -> np.ndarray:
        """Return two taps."""
        return np.array([1.0] + [0.0] * gap + [-1.0])

    assert pair().tolist() == [1, 0, -1]
    assert kernels.get("pair(2)").tolist() == [1, 0, 0, -1]
    known = kernels.describe("pair")
    assert (known.summary, known.parameters) == ("Return two taps.", "(gap=1)")
    assert (known.gain, known.source, known.ndims, known.bank) == ("", "", (), False)
    assert known.builder is pair


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gaussian(sigma=2)", lambda: kernels.gaussian(2)),
        (
            "gaussian(2.0, order=(0, 1), method='discrete')",
            lambda: kernels.gaussian(2.0, order=(0, 1), method="discrete"),
        ),
        (" box( 3 ) ", lambda: kernels.box(3)),
        ("box(size=(3, 5))", lambda: kernels.box((3, 5))),
        ("sobel_y(size=5)", lambda: kernels.sobel("y", size=5)),
        ("kirsch(None)", lambda: kernels.kirsch()),
        ("srm(normalized=False)", lambda: kernels.srm(normalized=False)),
        ("motion(5, angle_radians=-0.5)", lambda: kernels.motion(5, angle_radians=-0.5)),
        ("box()", lambda: kernels.box()),
        ("box(ndim=2)", lambda: kernels.box()),
    ],
)
def test_names_with_arguments(text: str, expected: Any) -> None:
    np.testing.assert_array_equal(kernels.get(text, ndim=2), expected())


def test_arguments_may_come_from_both_sides() -> None:
    np.testing.assert_array_equal(
        kernels.get("gaussian(2)", order=1, ndim=1), kernels.gaussian(2, order=1, ndim=1)
    )


@pytest.mark.usefixtures("own_names")
def test_builders_that_python_has_no_signature_of() -> None:
    kernels.register("ints", dict)
    assert kernels.describe("ints").ndims == ()
    assert kernels.get("ints", ndim=2).item() == {"ndim": 2}


@pytest.mark.parametrize("name", kernels.names())
def test_every_entry_says_what_it_is(name: str) -> None:
    known = kernels.describe(name)
    assert known.name == name
    assert known.summary.startswith("Return ")
    assert known.summary.endswith(".")
    assert known.gain
    assert known.source
    assert "ndim" in known.parameters
    assert "\n" not in known.summary + known.gain + known.source + known.parameters


def test_description_of_one() -> None:
    known = kernels.describe("sobel_x")
    assert known.summary == "Return Sobel's derivative along one axis, smoothed along the others."
    assert known.gain.startswith("``2**((size - 1) * ndim - order)``: a ramp of slope 1")
    assert known.source.startswith("Sobel & Feldman")
    assert known.parameters == "(*, order=1, size=3, ndim=2)"
    assert (known.ndims, known.bank) == ((1, 2, 3), False)
    assert kernels.describe("frei_chen()").bank


def test_evaluating_nothing(tmp_path: Any) -> None:
    target = tmp_path / "written"
    with pytest.raises(ArgumentError, match="isn't a literal"):
        kernels.get(f"box(open({str(target)!r}, 'w'))")
    assert not target.exists()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: kernels.get("sobel"), r"kernels.get\('sobel'\): is not .* Try: 'sobel_[xy]'"),
        (lambda: kernels.get("qqqq"), r"Try: kernels.register\(name, builder\) first"),
        (lambda: kernels.get("box", sise=3), r"sise=3\): is not a parameter .*any of size, ndim"),
        (lambda: kernels.get(3), r"kernels.get\(3\): is not a registered"),  # type: ignore[arg-type]
        (
            lambda: kernels.get("sobal(size=3)"),
            r"kernels.get\('sobal'\): is not a registered kernel",
        ),
        (lambda: kernels.get("box(size=n)"), r"has 'n' for an argument, which isn't a literal"),
        (lambda: kernels.get("motion(angle_radians=pi / 4)"), r"has 'pi / 4' for an argument"),
        (lambda: kernels.get("box(**{'size': 3})"), r"unpacks a mapping"),
        (lambda: kernels.get("box(*[3])"), r"has '\*\[3\]' for an argument"),
        (lambda: kernels.get("box(3"), r"is neither a name nor a call"),
        (lambda: kernels.get("box(3).T(1)"), r"is neither a name nor a call"),
        (lambda: kernels.get("box(\0)"), r"is neither a name nor a call"),
        (lambda: kernels.get("box(" + "(" * 9999), r"is neither a name nor a call"),
        (lambda: kernels.get("box(" + "-" * 99999 + "1)"), r"Try: \"gaussian\(sigma=2.0\)\""),
        (lambda: kernels.get("box(size=3, size=5)"), r"neither a name nor a call|gives size twice"),
        (lambda: kernels.get("box(3, size=5)"), r"size=5\): is given without keyword as well"),
        (lambda: kernels.get("box(3, 5)"), r"has 2 arguments without a keyword; .*at most 1: size"),
        (lambda: kernels.get("frei_chen(1)"), r"without a keyword; expected at most 0"),
        (lambda: kernels.get("box(size=3)", size=5), r"size=5\): is in the name as well"),
        (lambda: kernels.get("box(ndim=1)", ndim=2), r"says ndim=1 in the name; .* leave it out"),
        (lambda: kernels.get("box(sise=3)"), r"sise=3\): is not a parameter of this kernel"),
        (lambda: kernels.get("gaussian(sigma={})"), r"gaussian\(sigma=\{\}\): is not a finite"),
        (lambda: kernels.get("gaussian(sigma=1j)"), r"gaussian\(sigma=1j\): is not a finite"),
        (lambda: kernels.get("sobel_z", ndim=2), r"sobel\(axis='z'\): .* Try: ndim=3"),
        (lambda: kernels.describe("sobel"), r"kernels.describe\('sobel'\): is not a registered"),
        (lambda: kernels.register("box"), r"is taken"),
        (lambda: kernels.register("box", np.ones), r"is taken; .* overwrite=True"),
        (lambda: kernels.register("a b", np.ones), r"kernels.register\('a b'\): is not a name"),
        (lambda: kernels.register("a", 3), r"builder=3\): can't be called"),  # type: ignore[arg-type]
    ],
)
def test_refusals(call: Any, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        call()


@pytest.mark.usefixtures("own_names")
def test_missing_parameters_are_named() -> None:
    kernels.register("wide", lambda width, ndim: np.ones((width,) * ndim))
    assert kernels.get("wide(3)", ndim=1).shape == (3,)
    with pytest.raises(ArgumentError, match=r"lacks width, which .* Try: .*'wide', width="):
        kernels.get("wide", ndim=2)
