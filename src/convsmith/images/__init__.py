"""Filtering images, stacks and volumes: NumPy arrays in, NumPy arrays out."""

from convsmith.images.blurs import box_blur, gaussian_blur, local_normalize, unsharp_mask
from convsmith.images.edges import (
    gradient,
    gradient_magnitude,
    gradient_orientation,
    laplacian,
    sobel,
)
from convsmith.images.filtering import Plan, filter, plan
from convsmith.images.lines import filter_lines
from convsmith.images.masking import masked
from convsmith.images.memory import release
from convsmith.images.morphology import dilate, erode

__all__ = [
    "Plan",
    "box_blur",
    "dilate",
    "erode",
    "filter",
    "filter_lines",
    "gaussian_blur",
    "gradient",
    "gradient_magnitude",
    "gradient_orientation",
    "laplacian",
    "local_normalize",
    "masked",
    "plan",
    "release",
    "sobel",
    "unsharp_mask",
]
