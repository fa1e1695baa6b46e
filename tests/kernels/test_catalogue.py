"""The defaults of all names: a changed one changes what users get."""

from __future__ import annotations

import pytest

from convsmith import kernels

pytestmark = pytest.mark.backend_free

WINDOW = "size=None, radius=None, truncate=4.0, ndim=2)"
COMPONENT = "component='even', size=None, ndim=2)"
ANGLES = "angle_radians=0.0, elevation_radians=0.0, "
PACKET = "sigma=None, aspect_ratio=1.0, " + COMPONENT

PARAMETERS = {
    "binomial": "(size=3, *, ndim=2)",
    "box": "(size=3, *, ndim=2)",
    "daubechies": "(moments=2, *, band=None, ndim=2)",
    "dct_basis": "(size=3, *, ndim=2)",
    "difference_of_gaussians": "(sigma=1.0, *, ratio=1.6, method='sampled', " + WINDOW,
    "disk": "(radius_pixels=2.0, *, ndim=2)",
    "edge_enhance": "(amount=0.5, *, ndim=2)",
    "emboss": "(direction='south_east', *, amount=1.0, ndim=2)",
    "farid_x": "(*, size=5, ndim=2)",
    "farid_z": "(*, size=5, ndim=3)",
    "finite_difference_x": "(*, order=1, accuracy=2, kind='central', ndim=2)",
    "finite_difference_z": "(*, order=1, accuracy=2, kind='central', ndim=3)",
    "frei_chen": "(*, ndim=2)",
    "gabor": "(wavelength_pixels=4.0, *, " + ANGLES + "phase_radians=0.0, " + PACKET,
    "gaussian": "(sigma=1.0, *, order=0, method='sampled', " + WINDOW,
    "gaussian_derivative_pyramid": "(order=2, *, sigma=1.0, ratio=2.0, scales=3, "
    "scale_normalized=True, method='sampled', " + WINDOW,
    "haar": "(band=None, *, ndim=2)",
    "identity": "(size=3, *, ndim=2)",
    "kirsch": "(direction=None, *, ndim=2)",
    "laplacian": "(*, connectivity=1, ndim=2)",
    "laplacian_of_gaussian": "(sigma=1.0, *, method='sampled', " + WINDOW,
    "leung_malik": "(sigma=1.0, *, size=49, ndim=2)",
    "log_gabor": "(wavelength_pixels=6.0, *, " + ANGLES + "sigma_ratio=0.55, "
    "angular_sigma_radians=0.5, " + COMPONENT,
    "morlet": "(wavelength_pixels=4.0, *, " + ANGLES + PACKET,
    "motion": "(length_pixels=9.0, *, " + ANGLES + "ndim=2)",
    "mr8": "(*, size=49, ndim=2)",
    "parabola": "(scale=1.0, *, radius=3, ndim=2)",
    "prewitt_x": "(*, ndim=2)",
    "prewitt_z": "(*, ndim=3)",
    "roberts_anti": "(*, ndim=2)",
    "roberts_main": "(*, ndim=2)",
    "robinson": "(direction=None, *, levels=5, ndim=2)",
    "savitzky_golay": "(size=5, degree=2, *, order=0, ndim=2)",
    "scharr_x": "(*, ndim=2)",
    "scharr_z": "(*, ndim=3)",
    "schmid": "(*, size=49, ndim=2)",
    "sharpen": "(amount=1.0, *, connectivity=1, ndim=2)",
    "sobel_x": "(*, order=1, size=3, ndim=2)",
    "sobel_z": "(*, order=1, size=3, ndim=3)",
    "srm": "(*, normalized=True, ndim=2)",
    "steerable": "(order=1, *, sigma=1.0, method='sampled', " + WINDOW,
    "structuring_cross": "(radius=1, *, ndim=2)",
    "structuring_diamond": "(radius=1, *, ndim=2)",
    "structuring_disk": "(radius=1, *, ndim=2)",
    "structuring_square": "(radius=1, *, ndim=2)",
    "unsharp": "(sigma=1.0, *, amount=1.0, method='sampled', " + WINDOW,
}


@pytest.mark.parametrize(("name", "parameters"), PARAMETERS.items())
def test_defaults(name: str, parameters: str) -> None:
    assert kernels.describe(name).parameters == parameters


def test_every_name_is_listed_but_for_y_which_is_as_x() -> None:
    listed = set(PARAMETERS) | {f"{name[:-2]}_y" for name in PARAMETERS if name.endswith("_x")}
    assert set(kernels.names()) == listed
    for name in listed - set(PARAMETERS):
        assert kernels.describe(name).parameters == PARAMETERS[f"{name[:-2]}_x"]
