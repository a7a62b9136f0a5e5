"""What another model would have done with the same request."""

from planner.outcomes.calls import Calls
from planner.outcomes.failures import failure_rates
from planner.outcomes.fit import fit_outcomes, requests_of
from planner.outcomes.model import Holdout, Outcomes, Quality
from planner.outcomes.ratios import Ratio, fit_ratios
from planner.outcomes.reliability import reliability
from planner.outcomes.retained import retained
from planner.outcomes.semantic import Choice, FalseHits, choose_threshold, false_hits
from planner.outcomes.served import Asked, asked

__all__ = [
    "Asked",
    "Calls",
    "Choice",
    "FalseHits",
    "Holdout",
    "Outcomes",
    "Quality",
    "Ratio",
    "asked",
    "choose_threshold",
    "failure_rates",
    "false_hits",
    "fit_outcomes",
    "fit_ratios",
    "reliability",
    "requests_of",
    "retained",
]
