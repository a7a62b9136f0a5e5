"""The runtime: decides which model a request goes to, with numpy and a tokenizer alone."""

from planner.router.capabilities import REASONS, Capability, Support
from planner.router.costs import Costs
from planner.router.decision import choose, lookup, steps
from planner.router.features import STRUCTURE, Features, FeatureSpec, features
from planner.router.requests import Requests
from planner.router.router import Decision, Router, Scores, rebased
from planner.router.rules import ALWAYS_TAU, AlwaysRule, LengthRule, TableRule
from planner.router.scorer import LinearScorer, Weighting, weigh

__all__ = [
    "ALWAYS_TAU",
    "REASONS",
    "STRUCTURE",
    "AlwaysRule",
    "Capability",
    "Costs",
    "Decision",
    "FeatureSpec",
    "Features",
    "LengthRule",
    "LinearScorer",
    "Requests",
    "Router",
    "Scores",
    "Support",
    "TableRule",
    "Weighting",
    "choose",
    "features",
    "lookup",
    "rebased",
    "steps",
    "weigh",
]
