"""The SYNTHETIC sample taken through the library directly, once for the whole run: what notebooks must agree with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import planner
from planner.labels import Labels
from planner.outcomes import Outcomes
from planner.prices import PriceBook
from planner.simulation import Frontier
from planner.traffic import Traffic
from planner.training import Training


@dataclass(frozen=True)
class Chain:
    """Every result on the way."""

    traffic: Traffic
    labels: Labels
    book: PriceBook
    training: Training
    outcomes: Outcomes
    frontier: Frontier


@cache
def chain() -> Chain:
    """Read, train, fit and trace; what is stored beside the log is used again."""
    traffic, labels = planner.load_sample()
    book = planner.PriceBook.load()
    training = planner.train(labels, traffic, book=book)
    outcomes = planner.fit_outcomes(traffic, labels, training)
    return Chain(traffic, labels, book, training, outcomes, planner.frontier(traffic, training.router, outcomes=outcomes, book=book))
