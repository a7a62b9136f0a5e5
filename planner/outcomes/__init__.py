"""What another model would have done with the same request."""

from planner.outcomes.calls import Calls
from planner.outcomes.failures import failure_rates
from planner.outcomes.fit import fit_outcomes, requests_of
from planner.outcomes.model import Holdout, Outcomes, Quality
from planner.outcomes.ratios import Ratio, fit_ratios
from planner.outcomes.reliability import reliability

__all__ = ["Calls", "Holdout", "Outcomes", "Quality", "Ratio", "failure_rates", "fit_outcomes", "fit_ratios", "reliability", "requests_of"]
