"""Numbers with their evidence, and the arithmetic of sampling: no table, model or price is known here."""

from planner.stats.betting import fixed_sequence, p_values
from planner.stats.estimate import Estimate, weakest
from planner.stats.resample import BUCKETS, REFUSE, WARN, Interval, buckets, effective_clusters, jackknife

__all__ = [
    "BUCKETS",
    "REFUSE",
    "WARN",
    "Estimate",
    "Interval",
    "buckets",
    "effective_clusters",
    "fixed_sequence",
    "jackknife",
    "p_values",
    "weakest",
]
