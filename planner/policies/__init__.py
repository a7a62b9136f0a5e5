"""What a team could do instead, one file per lever."""

from planner.policies.base import Block, Intents, Lever, Plan
from planner.policies.route import Route

__all__ = ["Block", "Intents", "Lever", "Plan", "Route"]
