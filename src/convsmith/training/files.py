"""Whole files, for training; `convsmith.files` has them for everybody."""

from __future__ import annotations

from convsmith.files import remove_partial, replacing, write_text

__all__ = ["remove_partial", "replacing", "write_text"]
