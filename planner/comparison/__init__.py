"""Plans side by side, and what can be decided without labels."""

from planner.comparison.compare import Comparison, compare

__all__ = ["Comparison", "compare"]
