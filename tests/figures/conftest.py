"""One small world, trained and traced once, for every picture."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from support.small import world_of

from planner.outcomes import Outcomes, fit_outcomes
from planner.prices import PriceBook
from planner.simulation import Frontier, frontier
from planner.traffic import Traffic
from planner.training import Training, train


@dataclass(frozen=True)
class Made:
    """What the pictures are of."""

    traffic: Traffic
    training: Training
    outcomes: Outcomes
    book: PriceBook
    frontier: Frontier


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Make a log and labels, train and trace."""
    traffic, labels = world_of(tmp_path_factory.mktemp("figures"))
    book = PriceBook.load()
    training = train(labels, traffic, book=book)
    outcomes = fit_outcomes(traffic, labels, training)
    return Made(traffic, training, outcomes, book, frontier(traffic, training.router, outcomes=outcomes, book=book))
