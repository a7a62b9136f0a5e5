"""How far q̂ can be believed is said on the rows that judge."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.small import world_of

from planner.errors import NeedsError
from planner.outcomes import Outcomes, fit_outcomes, reliability
from planner.training import train


def test_it_is_about_the_rows_that_judge(tmp_path: Path) -> None:
    """Every model and the chosen answer have a line over the judging rows, and the means are those of the held-out labels."""
    traffic, labels = world_of(tmp_path)
    training = train(labels, traffic)
    outcomes = fit_outcomes(traffic, labels, training)
    found = reliability(outcomes, training)
    judges = training.problem.rows("judge")
    assert found.table.index.tolist() == [*training.problem.models, "chosen"]
    quality, weight = training.problem.quality[judges], training.problem.weight[judges]
    for k, model in enumerate(training.problem.models):
        known = ~np.isnan(quality[:, k])
        assert found.table.loc[model, "n"] == known.sum()
        assert found.table.loc[model, "realised"] == pytest.approx(np.average(quality[known, k], weights=weight[known]))
    with pytest.raises(NeedsError, match="outcomes without labels"):
        reliability(Outcomes(), training)
