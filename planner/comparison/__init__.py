"""Plans side by side, what each lever brings, the cheapest plan within limits, and what can be decided without labels."""

from planner.comparison.backtest import Backtest, backtest
from planner.comparison.compare import Comparison, compare
from planner.comparison.interactions import Interactions, interactions
from planner.comparison.optimize import Limits, Optimised, optimize
from planner.comparison.optimize_periods import periods
from planner.comparison.optimize_space import Space
from planner.comparison.recommend import recommend
from planner.comparison.recommendations import Recommendations
from planner.comparison.waterfall import Waterfall, waterfall

__all__ = [
    "Backtest",
    "Comparison",
    "Interactions",
    "Limits",
    "Optimised",
    "Recommendations",
    "Space",
    "Waterfall",
    "backtest",
    "compare",
    "interactions",
    "optimize",
    "periods",
    "recommend",
    "waterfall",
]
