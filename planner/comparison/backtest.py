"""Back-test: fit on the first weeks of a log, predict the last ones under what was configured, and compare with what happened.

In: Traffic, and labels where there are some. Out: a Backtest: predicted and actual dollars, tokens, failures and latencies of every app,
how many intervals hold, what switches of models in the log say, and what follows for each lever. Who asked what and when, and of which
model, is taken from the last period as it was; nothing else of it is known to the prediction.
"""

from __future__ import annotations

import datetime as dt
import html
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from planner.comparison.backtest_blind import donors_of
from planner.comparison.backtest_configured import configured, hit_share
from planner.comparison.backtest_levers import HIT, MISS, RESTS_ON, UNPROVEN, judge, lever_verdicts
from planner.comparison.backtest_periods import cut_at, earlier
from planner.comparison.backtest_play import Played, observed, play
from planner.comparison.backtest_score import LEVEL, Periods, score
from planner.comparison.backtest_switches import effects
from planner.errors import InputError, NeedsError, did_you_mean
from planner.labels import Labels
from planner.outcomes import fit_outcomes
from planner.policies import Plan
from planner.prices import PriceBook
from planner.simulation import AS_LOGGED, WEEK, World
from planner.traffic import Traffic, needs_every_row
from planner.traffic.rows import load_rows
from planner.traffic.sampling import refuse_part

__all__ = ["GIVEN", "Backtest", "backtest"]

#: What a back-test does not predict, in words.
GIVEN = (
    "Taken from the last period as it was: when each request came, of which app and user, to which model it was sent, and its prompt. "
    "Everything else of it is predicted from the first period alone."
)


@dataclass(frozen=True, eq=False)
class Backtest:
    """What was predicted of a log's last period, and what happened.

    Parameters
    ----------
    cut: where the last period begins. requests: users' own requests before and after.
    plan: what the first period shows to have been configured.
    table: a row an app (and "all") and measure: app, requests, foreign (share that no answer of its app and model in the first period
        stands for), measure, predicted, low, high, actual, hit, and the limits at the level of all apps together.
    switches: natural experiments, a row a switch and measure. parts: a row a part of the simulator and app, levers: a row a lever:
        hit, miss or unproven, and why.
    untested: what this log cannot test, a sentence each.
    """

    cut: np.datetime64
    requests: tuple[int, int]
    plan: Plan
    table: pd.DataFrame = field(repr=False)
    switches: pd.DataFrame = field(repr=False)
    parts: pd.DataFrame = field(repr=False)
    levers: pd.DataFrame = field(repr=False)
    untested: tuple[str, ...] = ()

    @property
    def tested(self) -> int:
        """Predictions of single apps that have an interval."""
        return int(self._own["hit"].notna().sum())

    @property
    def hits(self) -> int:
        """How many of them hold."""
        return int((self._own["hit"] == True).sum())  # noqa: E712 – objects: True, False or None

    @property
    def nominal(self) -> float:
        """How many of them should hold, as a share."""
        return LEVEL

    @property
    def _own(self) -> pd.DataFrame:
        """The rows of single apps, what is only a part of another row left out."""
        single = (self.table["app"] != "all") & ~self.table["measure"].str.startswith("failures_")
        return self.table[single & (self.table["measure"] != "prompt_cache_tokens")]

    def verdict(self, lever: str, app: str | None = None) -> str:
        """Return "hit", "miss" or "unproven" for a lever, or for a part of the simulator, of which also for one app.

        InputError for a name that is neither.
        """
        if lever in set(self.levers["lever"]) and app is None:
            return str(self.levers.set_index("lever").loc[lever, "verdict"])
        known = {*self.levers["lever"], *self.parts["part"]}
        if lever not in known:
            raise InputError(f"lever {lever!r}", "a lever or a part of the simulator", did_you_mean(lever, known))
        names = RESTS_ON.get(lever, (lever,))
        found = self.parts[self.parts["part"].isin(names) & (self.parts["app"] == (app or "all"))]["verdict"].tolist()
        if MISS in found:
            return MISS
        return HIT if len(found) == len(names) > 0 and set(found) == {HIT} else UNPROVEN

    def off(self, plan: Plan) -> dict[str, str]:
        """Return the levers of ``plan`` that are off by default since they missed on this log: lever → why, in one sentence."""
        keys = {lever.key for lever in plan.levers}
        why = "{} is off by default: its back-test on this log missed ({})."
        return {lever: why.format(lever, reason) for lever, reason in self._missed.items() if lever in keys}

    @property
    def _missed(self) -> dict[str, str]:
        missed = self.levers[self.levers["verdict"] == MISS]
        return dict(zip(missed["lever"].astype(str), missed["reason"].astype(str), strict=True))

    @property
    def text(self) -> str:
        """The back-test in a few sentences."""
        money = self.table[(self.table["app"] == "all") & (self.table["measure"] == "usd")]
        lines = [
            f"Fitted on {self.requests[0]:,} requests before {str(self.cut)[:16]} UTC, and compared with the {self.requests[1]:,} after it."
        ]
        for row in money.to_dict("records"):
            near = f"{row['predicted'] / row['actual'] - 1:+.1%}" if row["actual"] else "nothing was spent"
            between = f" [${row['low']:,.2f}, ${row['high']:,.2f}]" if np.isfinite(row["low"]) else ""
            lines.append(f"Predicted ${row['predicted']:,.2f}{between}, was ${row['actual']:,.2f} ({near}).")
        if self.tested:
            lines.append(f"{self.hits} of {self.tested} intervals by app hold ({self.hits / self.tested:.0%}, nominally {LEVEL:.0%}).")
        else:
            lines.append("No prediction has an interval.")
        lines += [f"Off by default, since it missed here: {lever} ({reason})." for lever, reason in self._missed.items()]
        proven = self.levers[self.levers["verdict"] == HIT]["lever"].tolist()
        lines.append(f"What these rest on holds here: {', '.join(proven)}." if proven else "No lever is proven by this log.")
        return "\n".join([*lines, GIVEN, *self.untested])

    def _repr_html_(self) -> str:
        body: str = self.table.to_html(index=False, float_format="{:,.4g}".format)
        return f"{body}<p class='mathjax_ignore'>{html.escape(self.text).replace(chr(10), '<br>')}</p>"


def backtest(
    traffic: Traffic,
    split: float | str | dt.date = 0.7,
    *,
    labels: Labels | None = None,
    book: PriceBook | None = None,
    runs: int = 8,
    seed: int = 0,
    progress: Callable[[str, float], None] | None = None,
) -> Backtest:
    """Fit on the first part of ``traffic``, predict the rest under what was configured, and compare.

    Parameters
    ----------
    traffic: the log.
    split: the share of its time that comes first, or the UTC day with which the last period begins.
    labels: what other models answered: token ratios and latencies of models that the first period has not seen.
    book: rates; the catalogue by default. Dollars are at the prices of each request's own time.
    runs: simulations whose mean is the prediction.
    seed: of every draw. progress: called with the stage and the share of it that is done.

    Raises InputError for a split that leaves fewer than 100 requests on a side; NeedsError for a sample, and for a log that kept the texts
    of a share where a cache was configured.

    Notes
    -----
    Intervals are prediction intervals: with m requests in the last period and the first period's mean of n resting on users and days,
    Var(predicted − actual) = V (1 + n / m), V by users and days, computed from the first period alone.
    """
    refuse_part(traffic, "whether a cache hits, what fails and how long it takes is compared with what happened to all of them")
    heard, book = progress or (lambda stage, share: None), book or PriceBook.load()
    rows = load_rows(traffic)
    cut = cut_at(rows.timestamp[rows.demand], split)
    heard("fitting", 0.0)
    with TemporaryDirectory() as folder:
        outcomes = fit_outcomes(earlier(traffic, cut, Path(folder) / "first"), labels, seed=seed)
    world = World(traffic, outcomes, book, AS_LOGGED, seed=seed, progress=lambda done, total: heard("reading prompts", 0.2 * done / total))
    first = rows.timestamp < cut
    before = rows.take(first)
    plan = configured(before, world.prints.request[first], world.acts[first])
    if said := needs_every_row(traffic, (lever.key for lever in plan.levers)):
        raise NeedsError(" ".join(said), fix="back-test the log read without --sample-text")
    donors = donors_of(rows, first, outcomes)
    predicted = play(world, plan, donors, first, hit_share(before), runs, lambda stage, share: heard(stage, 0.2 + 0.6 * share))
    periods = Periods.of(rows, cut)
    table = score(periods, predicted, observed(world, predicted.simulated))
    heard("switches of models", 0.8)
    switches = effects(traffic, rows, labels, book, seed)
    parts = judge(table, switches)
    heard("done", 1.0)
    counts = int(periods.first.sum()), int(periods.last.sum())
    return Backtest(cut, counts, plan, table, switches, parts, lever_verdicts(parts), _untested(periods, predicted, parts))


def _untested(periods: Periods, predicted: Played, parts: pd.DataFrame) -> tuple[str, ...]:
    """Say what this log cannot test."""
    rows, last = periods.rows, periods.last
    said = []
    unnamed = last & np.isin(rows.model.codes, [rows.model.code(""), rows.model.code("unknown")])
    if unnamed.any():
        said.append(f"{unnamed[last].mean():.0%} of the requests name no model.")
    if predicted.unpriced[last].any():
        said.append(f"{predicted.unpriced[last].mean():.0%} of the requests have no price and are in no dollars on either side.")
    if (foreign := float((predicted.source[last] > 0).mean())) > 0:
        said.append(f"Of {foreign:.1%} of the requests the first period has too few answers by their app's model: others stand for them.")
    days = (rows.timestamp[last].max() - rows.timestamp.min()) / np.timedelta64(1, "D")
    if days < WEEK:
        span = f"{days:.1f} days" if days >= 2 else f"{24 * days:.1f} hours"
        said.append(f"The log covers {span}: whether one week predicts the next is not tested.")
    whole = parts[(parts["app"] == "all") & (parts["verdict"] == UNPROVEN)]
    return (*said, *(f"Not tested: {part}; the log has {why}." for part, why in zip(whole["part"], whole["reason"], strict=True)))
