"""How far predicted quality can be taken at its word: of every model, and of whichever answer a router picks.

In: outcomes, and the training whose held-out labels judge them. Out: a Calibration. Fits nothing.
"""

from __future__ import annotations

from planner.errors import NeedsError
from planner.outcomes.model import Outcomes
from planner.router import Router
from planner.training import Training
from planner.training.calibration import Calibration, calibration

__all__ = ["reliability"]


def reliability(outcomes: Outcomes, training: Training, router: Router | None = None) -> Calibration:
    """Hold predicted quality against the grades of the rows that judge; ``router`` picks the chosen answers, by default the learned one.

    NeedsError for outcomes without labels: nothing was predicted.
    """
    held, use = outcomes.holdout, router or training.router
    if held is None:
        raise NeedsError(
            "outcomes without labels", "outcomes fitted with labels and training", "run: planner.fit_outcomes(traffic, labels, training)"
        )
    problem = training.problem
    chosen, _ = use.choose(use.scores(held.requests, problem.day))
    unit, weight = problem.unit[problem.rows("judge")], held.rows.weight
    measured, predicted = held.measured.values.astype(float), held.predicted.values
    return calibration(measured, predicted, weight, unit, problem.models, chosen)
