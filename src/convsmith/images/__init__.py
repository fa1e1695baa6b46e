"""Filtering images, stacks and volumes: NumPy arrays in, NumPy arrays out."""

from convsmith.images.filtering import Plan, filter, plan

__all__ = ["Plan", "filter", "plan"]
