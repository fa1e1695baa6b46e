"""For tests of layers, convsmith's and your own: `check_layer` is the one call."""

from convsmith.testing.case import LayerCase
from convsmith.testing.checks import CHECKS
from convsmith.testing.contract import check_layer
from convsmith.testing.processes import check_backends, check_reload

__all__ = ["CHECKS", "LayerCase", "check_backends", "check_layer", "check_reload"]
