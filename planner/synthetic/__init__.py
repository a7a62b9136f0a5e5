"""The SYNTHETIC sample: a production log and labels made by rule, and the truth behind them."""

from planner.synthetic.bill import Bill, sample_bill
from planner.synthetic.log import Log, build
from planner.synthetic.reachable import best_reachable
from planner.synthetic.rehearsal import rehearse
from planner.synthetic.sample import load_sample, sample_folder, write_sample
from planner.synthetic.truth import Ceiling, Truth, ceiling, read_truth, truth

__all__ = [
    "Bill",
    "Ceiling",
    "Log",
    "Truth",
    "best_reachable",
    "build",
    "ceiling",
    "load_sample",
    "read_truth",
    "rehearse",
    "sample_bill",
    "sample_folder",
    "truth",
    "write_sample",
]
