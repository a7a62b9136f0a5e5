"""What a team could do instead, one file per lever."""

from planner.policies.base import Block, Intents, Lever, LeverError, RowLever
from planner.policies.batch import Batch
from planner.policies.cascade import Cascade
from planner.policies.compress import Compress
from planner.policies.differences import diff
from planner.policies.exact_cache import ExactCache
from planner.policies.fallback import Fallback
from planner.policies.hedge import Hedge
from planner.policies.micro_batch import MicroBatch
from planner.policies.plan import Plan
from planner.policies.prompt_cache import PromptCache
from planner.policies.rate_limit import RateLimit
from planner.policies.retry import Retry
from planner.policies.route import Route
from planner.policies.semantic_cache import SemanticCache
from planner.policies.stream import Stream
from planner.policies.timeout import Timeout

__all__ = [
    "Batch",
    "Block",
    "Cascade",
    "Compress",
    "ExactCache",
    "Fallback",
    "Hedge",
    "Intents",
    "Lever",
    "LeverError",
    "MicroBatch",
    "Plan",
    "PromptCache",
    "RateLimit",
    "Retry",
    "Route",
    "RowLever",
    "SemanticCache",
    "Stream",
    "Timeout",
    "diff",
]
