"""Plans side by side, and what can be decided without labels."""

from planner.comparison.compare import Comparison, compare
from planner.comparison.recommend import recommend
from planner.comparison.recommendations import Recommendations

__all__ = ["Comparison", "Recommendations", "compare", "recommend"]
