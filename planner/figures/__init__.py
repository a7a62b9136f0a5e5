"""Results as pictures: each function takes a result and returns a Figure that can go on a slide as it is."""

from planner.figures.bands import shares
from planner.figures.curve import frontier
from planner.figures.levers import coverage
from planner.figures.spend import money_map
from planner.figures.style import Picture

__all__ = ["Picture", "coverage", "frontier", "money_map", "shares"]
