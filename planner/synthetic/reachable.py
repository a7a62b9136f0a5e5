"""The best that a router could reach on the SYNTHETIC sample, priced as the simulation prices it.

In: the sample's truth, its traffic, and a frontier traced on it. Out: cost per month and quality against the log of the policy
that knows the true expected quality given the text. Knows nothing of learned routers; no real log has such a line.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from planner.errors import InputError
from planner.outcomes import Outcomes
from planner.prices import PriceBook
from planner.simulation import Frontier, World, price_date
from planner.simulation.summary import MICRO, PAIRED
from planner.synthetic.sample import sample_folder
from planner.synthetic.truth import Truth, read_truth
from planner.traffic import Traffic
from planner.traffic.rows import Coded
from planner.units import DAYS_PER_MONTH, PUSD_PER_USD

__all__ = ["best_reachable"]


def best_reachable(
    traffic: Traffic, frontier: Frontier, outcomes: Outcomes, book: PriceBook | None = None, *, known: Truth | None = None, prices: int = 60
) -> pd.DataFrame:
    """Return ``usd_per_month`` and ``quality_difference`` of the best policy on the text alone, dearest first.

    At each of ``prices`` exchange rates every request goes to the candidate with the most true expected quality given its text
    less cost over rate. ``known`` is the sample's own truth by default; InputError when none of its requests is in ``traffic``.
    """
    known = known or read_truth(sample_folder() / "sample_truth.parquet")
    book = book or PriceBook.load()
    world = World(traffic, outcomes, book, price_date(book, frontier.header.price_date), seed=frontier.header.seed)
    place = pd.Index(world.rows.request_id).get_indexer(pd.Index(known.request_id))
    logged = world.rows.model.decode()[place]
    mine = (frontier.app is None) | (known.app == frontier.app)
    rows = np.flatnonzero((place >= 0) & np.isin(logged, known.models) & mine)
    if not rows.size:
        raise InputError("traffic without a request of this truth", "the SYNTHETIC sample that the truth belongs to")
    place, weight = place[rows], known.weight[rows]
    columns = np.array([known.models.index(m) for m in frontier.candidates if m in known.models], np.int64)
    cost = np.column_stack([_cost_usd(world, known.models[c])[place] for c in columns.tolist()])
    before = world.logged.cost_pusd[place] / PUSD_PER_USD
    own = known.expected[rows, [known.models.index(m) for m in logged[rows]]]
    month = DAYS_PER_MONTH / frontier.header.days
    logged_usd = frontier.logged_cost.sum() / PUSD_PER_USD
    judged = frontier.paired[:, 0, PAIRED.index("quality_weight_micro")].sum() / MICRO
    visible, expected = known.visible[np.ix_(rows, columns)], known.expected[np.ix_(rows, columns)]
    found, at = [], np.arange(len(rows))
    for rate in np.average(cost.max(axis=1), weights=weight) * np.geomspace(0.02, 2000, prices):
        choice = (visible - cost / rate).argmax(axis=1)
        saved, gained = weight @ (cost[at, choice] - before), weight @ (expected[at, choice] - own)
        found.append(((logged_usd + saved) * month, gained / judged))
    table = pd.DataFrame(found, columns=["usd_per_month", "quality_difference"])
    return table.drop_duplicates().sort_values("usd_per_month", ascending=False, ignore_index=True)


def _cost_usd(world: World, model: str) -> np.ndarray:
    """Return what each request of the log would cost [USD] if ``model`` answered it."""
    sent = Coded(np.zeros(len(world.rows), np.int32), (model,))
    return np.asarray(world.side(sent).cost_pusd / PUSD_PER_USD)
