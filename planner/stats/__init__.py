"""Numbers with their evidence, and the arithmetic of sampling: no table, model or price is known here."""

from planner.stats.betting import fixed_sequence, p_values
from planner.stats.blocks import BLOCKS, LAGS, blocks, two_way, weekdays
from planner.stats.estimate import Estimate, weakest
from planner.stats.expansion import expanded
from planner.stats.quantiles import Tail, position, tail
from planner.stats.resample import BUCKETS, REFUSE, WARN, Influence, Interval, buckets, effective_clusters, influence, jackknife

__all__ = [
    "BLOCKS",
    "BUCKETS",
    "LAGS",
    "REFUSE",
    "WARN",
    "Estimate",
    "Influence",
    "Interval",
    "Tail",
    "blocks",
    "buckets",
    "effective_clusters",
    "expanded",
    "fixed_sequence",
    "influence",
    "jackknife",
    "p_values",
    "position",
    "tail",
    "two_way",
    "weakest",
    "weekdays",
]
