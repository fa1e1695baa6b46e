"""Rules for `convsmith.models.convert`: what takes the place of which layers."""

from convsmith.models.drop_ins import DROP_INS
from convsmith.models.rules.base import Kept, Part, Rule, Swap
from convsmith.models.rules.blur_pool import BlurPool
from convsmith.models.rules.drop_in import DropIn, Padding
from convsmith.models.rules.group_norm import StandardizedGroupNorm
from convsmith.models.rules.low_rank import LowRank
from convsmith.models.sites import Site

__all__ = [
    "DROP_INS",
    "BlurPool",
    "DropIn",
    "Kept",
    "LowRank",
    "Padding",
    "Part",
    "Rule",
    "Site",
    "StandardizedGroupNorm",
    "Swap",
]
