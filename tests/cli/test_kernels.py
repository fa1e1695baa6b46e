"""`convsmith kernels`: the table, one kernel, and the pictures of both."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from convsmith import kernels
from convsmith.cli.kernel_text import values

pytestmark = pytest.mark.backend_free
Command = Callable[..., Any]


def test_the_table_has_all_names(convsmith: Command) -> None:
    done = convsmith("kernels")
    assert done.code == 0
    lines = done.out.splitlines()
    shown = [line.split()[0] for line in lines if line.strip()]
    assert set(kernels.names()) <= set(shown)
    (sobel,) = (line for line in lines if line.startswith("sobel_x"))
    assert sobel.split()[:6] == ["sobel_x", "3", "x", "3", "0", "1-3"]
    assert "49 x 49" in next(line for line in lines if line.startswith("leung_malik"))


def test_one_kernel(convsmith: Command) -> None:
    done = convsmith("kernels", "show", "sobel_x")
    assert done.code == 0
    for text in (
        "sobel_x(*, order=1, size=3, ndim=2)",
        "3 x 3, sum 0, sum of absolute values 8, norm 3.4641",
        "[[-1  0  1]\n [-2  0  2]\n [-1  0  1]]",
        "product of lines: 6 multiplications for 9",
        "along y: 1/2 of [1 2 1]",
        "gain at cycles per pixel  0  0.125  0.25  0.5\n",
        "  along x                 0  5.657     8    0\n",
        "source: Sobel & Feldman",
    ):
        assert text in done.out, text


@pytest.mark.parametrize("name", kernels.names())
def test_every_name(convsmith: Command, name: str) -> None:
    done = convsmith("kernels", "show", name)
    assert (done.code, done.err) == (0, "")
    assert "source: " in done.out


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        (["gaussian(sigma=3)"], "25 x 25, sum 1"),
        (["gaussian", "--ndim", "3"], "9 x 9 x 9, sum 1"),
        (["binomial(3, ndim=1)"], "1/4 of\n[1 2 1]"),
        (["daubechies(band='LH')"], "product of lines: 8 multiplications for 16"),
        (["kirsch"], "3 x 3, 8 filters; --index shows the values of one"),
        (["kirsch", "--index", "2"], "[[ 5 -3 -3]\n [ 5  0 -3]\n [ 5 -3 -3]]"),
        (["disk(9)"], "in the middle, 9 x 9:"),
        (["[[1, 2], [3, 4]]"], "2 x 2, sum 10"),
        (["[[0, 0]]"], "[[0 0]]"),
        (["structuring_disk"], "for max-plus convolutions"),
    ],
)
def test_arguments_banks_and_numbers(convsmith: Command, asked: list[str], text: str) -> None:
    done = convsmith("kernels", "show", *asked)
    assert done.code == 0, done
    assert text in done.out


def test_values_are_short() -> None:
    assert values(np.full((1, 2), 1 / 3)) == "1/3 of\n[[1 1]]"
    assert values(np.array([1e-5, 2.5e-5 / 3])) == "1e-5 of\n[1.0000 0.8333]"
    assert values(np.array([[np.pi, -1.0]])) == "[[ 3.1416 -1.0000]]"


def test_pictures(convsmith: Command, tmp_path: Path) -> None:
    for arguments in (
        ["kernels", "--plot", tmp_path / "sheet.png"],
        ["kernels", "show", "kirsch", "--plot", tmp_path / "kirsch.png"],
        ["kernels", "show", "sobel_z", "--plot", tmp_path / "volume.png"],
        ["kernels", "show", "structuring_disk", "--plot", tmp_path / "shape.png"],
        ["kernels", "show", "box(3, ndim=1)", "--plot", tmp_path / "line.png"],
    ):
        done = convsmith(*arguments)
        assert (done.code, done.err) == (0, "")
        assert done.out.endswith(f"{arguments[-1]}\n")
        with Image.open(arguments[-1]) as image:
            colours = np.unique(np.asarray(image.convert("RGB")).reshape(-1, 3), axis=0)
        assert len(colours) > 50


def test_what_is_refused(refused: Callable[..., str]) -> None:
    assert "Try: 'sobel_x'" in refused("kernels", "show", "sobel")
    assert "is not one of 8 filters" in refused("kernels", "show", "kirsch", "--index", "8")
    assert "is not a parameter" in refused("kernels", "show", "box(sice=3)")
    assert "is not rows of numbers" in refused("kernels", "show", "[[1], [2, 3]]")
