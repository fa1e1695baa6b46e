"""The main job: train a small image classifier with any convolution, and use it afterwards.

`run.train(Settings(...))` does it all; `convsmith.cli` only reads arguments and prints. This module
imports no Keras, so that the backend can still be chosen; `run`, `classifier` and `model_file` do.
"""

from convsmith.training.report import Reporter, Row
from convsmith.training.settings import BASELINE, PRECISIONS, Precision, Settings

__all__ = ["BASELINE", "PRECISIONS", "Precision", "Reporter", "Row", "Settings"]
