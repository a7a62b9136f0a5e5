"""The best that is reachable on the SYNTHETIC sample, against the same sum taken request by request."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from support.small import traffic_of

from planner.errors import InputError
from planner.labels import Labels
from planner.outcomes import Outcomes, fit_outcomes
from planner.prices import PriceBook
from planner.simulation import Frontier, World, frontier, price_date
from planner.simulation.summary import PAIRED
from planner.synthetic import Truth, best_reachable, read_truth, write_sample
from planner.traffic import Traffic, read
from planner.traffic.rows import Coded
from planner.training import train
from planner.units import DAYS_PER_MONTH


@dataclass(frozen=True)
class Small:
    """A small sample and what was found on it."""

    traffic: Traffic
    known: Truth
    outcomes: Outcomes
    book: PriceBook
    frontier: Frontier


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    """Write, read and train on a small sample."""
    folder = tmp_path_factory.mktemp("reachable")
    write_sample(folder, 1600)
    traffic = read(folder / "sample_log.jsonl.zst", out=folder / "traffic", text=True)
    labels, book = Labels.open(folder / "sample_labels"), PriceBook.load()
    training = train(labels, traffic, book=book)
    outcomes = fit_outcomes(traffic, labels, training)
    found = frontier(traffic, training.router, outcomes=outcomes, book=book)
    return Small(traffic, read_truth(folder / "sample_truth.parquet"), outcomes, book, found)


def test_it_is_the_sum_over_requests(small: Small) -> None:
    """Each point is what sending every request to its best model, one at a time, would cost and be worth."""
    table = best_reachable(small.traffic, small.frontier, small.outcomes, small.book, known=small.known, prices=5)
    world = World(small.traffic, small.outcomes, small.book, price_date(small.book, small.frontier.header.price_date))
    n, models = len(world.rows), small.known.models
    usd = {m: world.side(Coded(np.zeros(n, np.int32), (m,))).cost_pusd / 1e12 for m in models}
    place = {r: i for i, r in enumerate(world.rows.request_id)}
    logged, before = world.rows.model.decode(), world.logged.cost_pusd / 1e12
    items = [(i, place[r]) for i, r in enumerate(small.known.request_id) if r in place and logged[place[r]] in models]
    weights = np.array([small.known.weight[i] for i, _ in items])
    scale = np.average([max(usd[m][at] for m in models) for _, at in items], weights=weights)
    wanted = []
    for rate in scale * np.geomspace(0.02, 2000, 5):
        saved = gained = 0.0
        for i, at in items:
            best = max(range(len(models)), key=lambda k: small.known.visible[i, k] - usd[models[k]][at] / rate)
            saved += small.known.weight[i] * (usd[models[best]][at] - before[at])
            gained += small.known.weight[i] * (small.known.expected[i, best] - small.known.expected[i, models.index(logged[at])])
        wanted.append((saved, gained))
    month = DAYS_PER_MONTH / small.frontier.header.days
    judged = small.frontier.paired[:, 0, PAIRED.index("quality_weight_micro")].sum() / 1e6
    expected = sorted((((float(before.sum()) + s) * month, g / judged) for s, g in wanted), reverse=True)
    np.testing.assert_allclose(table[["usd_per_month", "quality_difference"]].to_numpy(), expected, rtol=1e-9)


def test_more_quality_costs_more(small: Small) -> None:
    """Along the line, cost and what the text shows of quality fall together, so cost never rises."""
    table = best_reachable(small.traffic, small.frontier, small.outcomes, small.book, known=small.known)
    assert (table["usd_per_month"].diff().dropna() <= 0).all()
    assert table["quality_difference"].iloc[0] > table["quality_difference"].iloc[-1]


def test_it_costs_less_than_today_at_no_loss(small: Small) -> None:
    """Who knows the truth saves without losing quality: some point is cheaper and better than the log."""
    table = best_reachable(small.traffic, small.frontier, small.outcomes, small.book, known=small.known)
    today = small.frontier.logged_cost.sum() / 1e12 * DAYS_PER_MONTH / small.frontier.header.days
    assert ((table["usd_per_month"] < today) & (table["quality_difference"] > 0)).any()


def test_it_needs_the_sample_itself(small: Small, tmp_path: Path) -> None:
    """Another log has no known truth, and the error says so."""
    other = traffic_of(tmp_path, {"model": ["gpt-5.4"] * 20, "provider": "openai", "input_tokens": 10})
    with pytest.raises(InputError, match="the SYNTHETIC sample that the truth belongs to"):
        best_reachable(other, small.frontier, small.outcomes, small.book, known=small.known)
