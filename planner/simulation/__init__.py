"""Plan + outcomes + prices → Summaries."""

from planner.simulation.accounting import AS_LOGGED, price_date
from planner.simulation.frontier import Frontier, frontier, trace
from planner.simulation.ledger import ledger
from planner.simulation.predicted import predicted_bill
from planner.simulation.result import WEEK, Simulation
from planner.simulation.simulate import run, simulate, simulate_in_parts
from planner.simulation.summary import Summary, SummaryHeader, merge
from planner.simulation.sweep import Sweep, retries, sweep
from planner.simulation.world import World

__all__ = [
    "AS_LOGGED",
    "WEEK",
    "Frontier",
    "Simulation",
    "Summary",
    "SummaryHeader",
    "Sweep",
    "World",
    "frontier",
    "ledger",
    "merge",
    "predicted_bill",
    "price_date",
    "retries",
    "run",
    "simulate",
    "simulate_in_parts",
    "sweep",
    "trace",
]
