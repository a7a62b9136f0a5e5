"""Controls in a notebook over the headless library; nothing imports it."""

from planner.lab.bars import progress
from planner.lab.blind import Blind, ab
from planner.lab.panel import Explorer, explorer

__all__ = ["Blind", "Explorer", "ab", "explorer", "progress"]
