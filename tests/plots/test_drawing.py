"""What is in the pictures: numbers, colours, curves, windows; and what can't be drawn."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from convsmith import geometry, kernels, plots
from convsmith.errors import ArgumentError, KernelError, ShapeError, UnsupportedError

pytestmark = pytest.mark.backend_free


def texts(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.texts]


def data(axes: Any, index: int = 0) -> np.ndarray:
    return np.asarray(axes.images[index].get_array())


class TestKernel:
    def test_numbers_are_the_entries(self) -> None:
        axes = plots.plot_kernel("scharr_y")
        assert np.array(texts(axes), int).reshape(3, 3).tolist() == kernels.get("scharr_y").tolist()
        places = [text.get_position() for text in axes.texts]
        assert places[:4] == [(0, 0), (1, 0), (2, 0), (0, 1)]

    def test_one_denominator(self) -> None:
        axes = plots.plot_kernel([[0.25, 0.5], [-0.25, 1]])
        assert texts(axes) == ["1", "2", "-1", "4"]
        assert axes.get_title() == "1/4 of"
        assert plots.plot_kernel("box").get_title() == "box  (1/9 of)"
        assert plots.plot_kernel("box", title="mean").get_title() == "mean  (1/9 of)"

    def test_decimals(self) -> None:
        assert texts(plots.plot_kernel([0.123456, 1.5, 0.0001])) == ["0.12", "1.50", "0"]
        assert texts(plots.plot_kernel([1.2345e-7, 0.0, -3e-7])) == ["1.2e-07", "0", "-3e-07"]
        assert texts(plots.plot_kernel([31415.97123, 0.3])) == ["31416", "0"]
        assert texts(plots.plot_kernel([0.0, 0.0])) == ["0", "0"]

    def test_what_is_never_chosen(self) -> None:
        axes = plots.plot_kernel(np.array([[0.0, -np.inf], [-0.3217, 0.0]]))
        assert texts(axes) == ["0", "-∞", "-0.322", "0"]
        assert np.ma.getmaskarray(axes.images[0].get_array()).tolist() == [
            [False, True], [False, False],
        ]  # fmt: skip

    def test_large_kernels_and_no_numbers(self) -> None:
        assert texts(plots.plot_kernel("disk(8)")) == []
        assert texts(plots.plot_kernel("sobel_x", numbers=False)) == []
        assert len(texts(plots.plot_kernel(np.ones((15, 1))))) == 15

    def test_colours_are_symmetric_about_zero(self) -> None:
        image = plots.plot_kernel([[1.0, -3.0]]).images[0]
        assert image.get_clim() == (-3.0, 3.0)
        dark, light = plots.plot_kernel([[1.0, -3.0]]).texts[::-1]
        assert (dark.get_color(), light.get_color()) == ("white", plots.INK)

    def test_into_given_axes(self) -> None:
        figure = plots.new_figure()
        left, right = figure.subplots(1, 2)
        assert plots.plot_kernel("sobel_x", right) is right
        assert not left.images

    @pytest.mark.parametrize("bad", [[[1 + 1j]], [["a"]], np.zeros((0, 3)), object()])
    def test_what_is_not_real_numbers(self, bad: Any) -> None:
        with pytest.raises(KernelError, match="can't be drawn"):
            plots.plot_kernel(bad)

    def test_nan_and_other_axes(self) -> None:
        with pytest.raises(KernelError, match="holds 1 NaN"):
            plots.plot_kernel([1.0, np.nan])
        with pytest.raises(KernelError, match="has 3 axes; expected 1 or 2.*plot_bank"):
            plots.plot_kernel(np.ones((3, 3, 3)))
        with pytest.raises(ArgumentError, match="sobel_q"):
            plots.plot_kernel("sobel_q")

    @pytest.mark.parametrize("bad", [3, "axes", np.zeros(2)])
    def test_what_is_not_axes(self, bad: Any) -> None:
        with pytest.raises(ArgumentError, match="is not something to draw into"):
            plots.plot_kernel("sobel_x", bad)


class TestBank:
    def test_titles(self) -> None:
        def titles(*arguments: Any, **options: Any) -> list[str]:
            return [axes.get_title() for axes in plots.plot_bank(*arguments, **options).axes]

        assert titles(["sobel_x", np.ones((3, 3))]) == ["sobel_x", "1"]
        assert titles(np.ones((3, 3, 2))) == ["0", "1"]
        assert titles(np.ones((3, 3))) == ["0"]
        assert titles({"a": "sobel_x", "b": np.ones((3, 3, 2))}) == ["a", "b 0", "b 1"]
        assert titles(np.ones((3, 3, 2)), titles=["left", "right"]) == ["left", "right"]
        assert len(titles("leung_malik")) == 48
        assert titles(np.ones((3, 2)), ndim=1) == ["0", "1"]

    def test_scales(self) -> None:
        bank = np.stack([np.full((2, 2), 1.0), np.full((2, 2), -4.0)], axis=-1)
        each = plots.plot_bank(bank).axes
        assert [axes.images[0].get_clim() for axes in each] == [(-1.0, 1.0), (-4.0, 4.0)]
        shared = plots.plot_bank(bank, scale="shared").axes
        assert [data(axes)[0, 0] for axes in shared] == [0.25, -1.0]

    def test_volumes_show_all_slices(self) -> None:
        volume = np.arange(27.0).reshape(3, 3, 3)
        (axes,) = plots.plot_bank(volume, ndim=3).axes
        shown = data(axes)
        assert shown.shape[1] > 3 * shown.shape[0]
        assert set(np.round(shown[np.isfinite(shown)] * 26).tolist()) >= {26.0}

    def test_rows_and_columns(self) -> None:
        figure = plots.plot_bank(np.ones((3, 3, 5)), columns=2)
        assert len(figure.axes) == 5
        assert figure.axes[0].get_gridspec().get_geometry() == (3, 2)

    def test_into_a_part_of_a_figure(self) -> None:
        left, _ = plots.new_figure().subfigures(1, 2)
        assert plots.plot_bank("robinson", left) is left
        with pytest.raises(ArgumentError, match="is not something to draw into"):
            plots.plot_bank("robinson", 3)

    def test_wrong_arguments(self) -> None:
        for options, words in (
            ({"ndim": 4}, "is no number of spatial axes"),
            ({"scale": "own"}, "is not known"),
            ({"columns": 0}, "is no number of columns"),
            ({"titles": ["a"]}, "are 1 for 8 kernels"),
        ):
            with pytest.raises(ArgumentError, match=words):
                plots.plot_bank("robinson", **options)  # type: ignore[arg-type]
        with pytest.raises(KernelError, match="holds no kernel"):
            plots.plot_bank({})
        with pytest.raises(KernelError, match="has 4 axes; expected 2 spatial axes"):
            plots.plot_bank(np.ones((3, 3, 3, 3)))


class TestFrequencyResponse:
    def test_curve(self) -> None:
        (line,) = plots.plot_frequency_response([1.0, 0.0, -1.0]).lines
        waves, gain = line.get_data()
        np.testing.assert_allclose(gain, 2 * np.abs(np.sin(2 * np.pi * waves)), atol=1e-12)

    def test_map_has_zero_in_the_middle(self) -> None:
        axes = plots.plot_frequency_response("sobel_x", title="")
        gain = data(axes)
        assert gain.shape == (65, 65)
        assert gain[32, 32] == pytest.approx(0.0, abs=1e-12)
        assert gain[32, 48] == pytest.approx(8.0)  # A quarter of a cycle along columns.
        assert axes.images[0].get_extent() == [-0.5, 0.5, 0.5, -0.5]
        assert axes.get_title() == ""

    def test_decibels(self) -> None:
        (line,) = plots.plot_frequency_response([0.25, 0.5, 0.25], decibels=True).lines
        assert line.get_ydata()[[0, 128, -1]].round(3).tolist() == [0.0, -6.021, -80.0]
        shown = data(plots.plot_frequency_response("binomial", decibels=True))
        assert shown.max() == pytest.approx(0.0)
        assert shown.min() == -80.0

    def test_banks_and_complex_lines(self) -> None:
        axes = plots.plot_frequency_response(np.eye(3), ndim=1)
        assert len(axes.lines) == 3
        (line,) = plots.plot_frequency_response([1.0, 1j]).lines
        assert line.get_xdata()[0] == -0.5
        assert len(plots.plot_frequency_response("box", ndim=1).lines) == 1

    def test_what_has_no_picture(self) -> None:
        for array, ndim in ((np.ones((3, 3, 3)), None), (np.ones((3, 3, 2)), 2), (np.ones(3), 2)):
            with pytest.raises(KernelError, match="spatial axes"):
                plots.plot_frequency_response(array, ndim=ndim)
        with pytest.raises(KernelError, match="finite"):
            plots.plot_frequency_response([np.nan, 1.0])


class TestBeforeAfter:
    def test_integers_on_their_scale_and_zero_in_the_middle(self) -> None:
        before = np.array([[0, 255], [51, 102]], "uint8")
        first, second = plots.plot_before_after(before, before - 51.0).axes
        assert data(first).tolist() == before.tolist()
        shown = data(second)
        assert shown[0, 1] == 255
        assert shown[1, 0] in (127, 128)

    def test_difference(self) -> None:
        before = np.zeros((4, 5, 3), "uint8")
        after = before.copy()
        after[0, 0] = (3, 0, 3)
        third = plots.plot_before_after(before, after, difference=True).axes[2]
        assert data(third)[0, 0] == 2.0
        with pytest.raises(ShapeError, match="have no difference"):
            plots.plot_before_after(before, after[1:], difference=True)

    def test_missing_pixels(self) -> None:
        image = np.array([[np.nan, 1.0], [2.0, 3.0]])
        assert data(plots.plot_before_after(image, image).axes[0])[0, 0] == 0

    def test_wrong_arguments(self) -> None:
        image = np.zeros((3, 3))
        with pytest.raises(ShapeError, match="before of shape.*is not an image"):
            plots.plot_before_after(np.zeros(3), image)
        with pytest.raises(ShapeError, match="after of shape.*is not an image"):
            plots.plot_before_after(image, np.array([["a"]]))
        with pytest.raises(ArgumentError, match="aren't two titles"):
            plots.plot_before_after(image, image, titles=["one"])


class TestReceptiveField:
    image = np.zeros((20, 30))

    def window(self, axes: Any) -> tuple[float, float, float, float]:
        patch = axes.patches[-1]
        return (*patch.get_xy(), patch.get_width(), patch.get_height())

    def test_window_and_middle(self) -> None:
        axes = plots.plot_receptive_field(self.image, ((3, 2, -1), (5, 4, -2)), output=(4, 3))
        assert self.window(axes) == (9.5, 6.5, 5, 3)
        assert axes.lines[0].get_xydata().tolist() == [[12.0, 8.0]]
        assert len(axes.patches) == 5

    def test_the_middle_by_default(self) -> None:
        axes = plots.plot_receptive_field(self.image, geometry.ReceptiveField(3, 2, -1))
        assert axes.get_title() == "output (5, 7) sees 3x3, stride 2x2"

    def test_padding_shows(self) -> None:
        axes = plots.plot_receptive_field(self.image, (9, 1, -4), output=(0, 0))
        assert axes.get_xlim()[0] < -4.5 < axes.get_xlim()[1] == 29.5 + 0.02 * 34
        assert axes.get_ylim()[1] < -4.5
        inside = plots.plot_receptive_field(self.image, (3, 1, 0))
        assert (inside.get_xlim(), inside.get_ylim()) == ((-0.5, 29.5), (19.5, -0.5))
        assert len(axes.patches) == 3  # Outputs before the first aren't there.

    def test_heat(self) -> None:
        heat = np.zeros((20, 30, 2))
        heat[3, 4] = (-1.0, 3.0)
        heat[5, 6] = (1.0, 1.0)
        axes = plots.plot_receptive_field(self.image, (3, 1, 0), heat=heat, title="heat")
        shown = data(axes, 1)
        assert (shown[3, 4], shown[5, 6], shown.sum()) == (1.0, 0.5, 1.5)
        assert axes.get_title() == "heat"
        for bad in (heat[1:], np.full((20, 30), np.nan)):
            with pytest.raises(ShapeError, match="doesn't fit the image"):
                plots.plot_receptive_field(self.image, (3, 1, 0), heat=bad)

    @pytest.mark.parametrize(
        "bad", [3, "abc", (3, 1), (0, 1, 0), (3, 0, 0), (3, 1.5, 0), [(3, 1, 0)] * 3, (True, 1, 0)]
    )
    def test_what_is_no_field(self, bad: Any) -> None:
        with pytest.raises(ArgumentError, match="is not a receptive field of rows and columns"):
            plots.plot_receptive_field(self.image, bad)

    def test_wrong_arguments(self) -> None:
        for bad in (3, (1,), (1, 2, 3), (-1, 0), (0.5, 1), ("a", "b")):
            with pytest.raises(ArgumentError, match="is not the place of an output"):
                plots.plot_receptive_field(self.image, (3, 1, 0), output=bad)  # type: ignore[arg-type]
        for image in (np.zeros(3), np.zeros((2, 3, 4, 5)), np.zeros((3, 3), complex)):
            with pytest.raises(ShapeError, match="is not one image"):
                plots.plot_receptive_field(image, (3, 1, 0))


def test_missing_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.zeros((4, 4))
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    for draw in (
        lambda: plots.plot_kernel("sobel_x"),
        lambda: plots.plot_bank("robinson"),
        lambda: plots.plot_frequency_response("box"),
        lambda: plots.plot_before_after(image, image),
        lambda: plots.plot_receptive_field(image, (3, 1, 0)),
    ):
        with pytest.raises(UnsupportedError, match=r"Try: pip install 'convsmith\[plots\]'"):
            draw()
