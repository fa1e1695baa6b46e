"""The planner: from a pattern, shapes and a target to a `Plan` with its lowering chosen."""

from convsmith.planner import wisdom
from convsmith.planner.plan import Choice, Plan, make_plan

__all__ = ["Choice", "Plan", "make_plan", "wisdom"]
