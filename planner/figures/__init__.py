"""Results as pictures: each function takes a result and returns a Figure that can go on a slide as it is."""

from planner.figures.backtest import backtest
from planner.figures.bands import shares
from planner.figures.bridge import bridge
from planner.figures.compression import compression
from planner.figures.curve import frontier
from planner.figures.drift import drift
from planner.figures.evidence import certificate, verdict
from planner.figures.gate import gate
from planner.figures.learning import learning_curve, reliability
from planner.figures.levers import coverage
from planner.figures.pareto import pareto
from planner.figures.reconciliation import reconciliation
from planner.figures.semantic import semantic_cache
from planner.figures.spend import money_map
from planner.figures.style import Picture
from planner.figures.sweeps import retries, sweep
from planner.figures.tail import tail
from planner.figures.timeline import timeline
from planner.figures.verify import verify
from planner.figures.waterfall import waterfall

__all__ = [
    "Picture",
    "backtest",
    "bridge",
    "certificate",
    "compression",
    "coverage",
    "drift",
    "frontier",
    "gate",
    "learning_curve",
    "money_map",
    "pareto",
    "reconciliation",
    "reliability",
    "retries",
    "semantic_cache",
    "shares",
    "sweep",
    "tail",
    "timeline",
    "verdict",
    "verify",
    "waterfall",
]
