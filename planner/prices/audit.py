"""The audit: what a log cost, at the prices of each request's own time.

In: traffic and a price book. Out: cost per request, sums by anything the log knows, what failures, retries and missed
caches cost, the rows without a price, and where the source's own cost differs. A gateway's response-cache hit costs nothing. Of a sample,
sums are estimated, with an interval. Knows nothing of plans; the empty plan must equal it to the integer.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow.compute as pc
from numpy.typing import NDArray

from planner.errors import InputError, did_you_mean
from planner.prices.book import PriceBook
from planner.prices.causes import causes
from planner.prices.losses import losses
from planner.prices.money import pusd_sum, usd_by, usd_sum, weighted
from planner.prices.priced import NO_TOKENS, Priced
from planner.schema import EVIDENCE, TOKEN_BUCKETS, TRAFFIC
from planner.stats import REFUSE, Estimate, weakest
from planner.traffic import Traffic
from planner.traffic.rows import evidence_of
from planner.traffic.sampling import limits, standing, too_thin, units_of
from planner.units import PUSD_PER_USD, pusd_to_usd

__all__ = ["Audit", "audit"]

#: The source's cost agrees with ours when it differs by at most this share, or by at most this much [USD].
AGREES_WITHIN, AGREES_WITHIN_USD = 0.01, 1e-6
_DERIVED = ("hour", "day", "bucket")
_GROUPS = tuple(c.name for c in TRAFFIC.columns if c.type in ("string", "bool", "int32") and c.name not in ("messages", "response"))


@dataclass(frozen=True, eq=False)
class Audit:
    """A priced log, in traffic order.

    Parameters
    ----------
    cost_pusd: int64 (n,) [pUSD] of each logged request; 0 for cache hits and where there is no price.
    spend_pusd: the same times the row's weight, rounded: what sums are made of.
    reason: (n,), 0 where the cost is known, else the position in ``priced.reasons``.
    hit: (n,) answered from the gateway's response cache.
    tokens: int64 (n, 6).
    weight: float (n,).
    """

    traffic: Traffic = field(repr=False)
    book: PriceBook
    priced: Priced = field(repr=False)
    cost_pusd: NDArray[np.int64] = field(repr=False)
    spend_pusd: NDArray[np.int64] = field(repr=False)
    reason: NDArray[np.int32] = field(repr=False)
    hit: NDArray[np.bool_] = field(repr=False)
    tokens: NDArray[np.int64] = field(repr=False)
    weight: NDArray[np.float64] = field(repr=False)

    def __len__(self) -> int:
        return len(self.cost_pusd)

    @cached_property
    def total(self) -> Estimate:
        """Everything that was spent [USD], overhead included; ``shares`` splits it by evidence."""
        return self.estimate(np.ones(len(self), bool))

    @cached_property
    def overhead(self) -> Estimate:
        """What rows of purpose ``overhead`` (a router's or judge's own calls) cost [USD]; part of the total."""
        return self.estimate((self.traffic.frame("purpose")["purpose"] == "overhead").to_numpy())

    def estimate(self, rows: NDArray[np.bool_], pusd: NDArray[np.int64] | None = None, evidence: str = EVIDENCE[0]) -> Estimate:
        """Return what ``rows`` (n,) brought [USD]: their spend, or ``pusd`` (n,) [pUSD, weighted], known no better than ``evidence``.

        Where rows stand for others it has the interval of ``stats.expanded``, by what was drawn whole.
        """
        spend = self.spend_pusd if pusd is None else pusd
        rows = rows & (self.reason == 0)
        codes = np.maximum(self.evidence, np.int8(EVIDENCE.index(evidence)))
        shares = {name: usd_sum(spend[rows & (codes == i)]) for i, name in enumerate(EVIDENCE)}
        shares = {name: usd for name, usd in shares.items() if usd}
        value, (low, high) = pusd_to_usd(pusd_sum(spend[rows])), self.limits(rows, spend)
        known = weakest(evidence, *shares, "estimated" if (self.weight[rows] != 1).any() else evidence)
        source = f"log{self.standing}, each request at its own time; {self.book.name}"
        return Estimate(value, low, high, known, shares, int(rows.sum()), source)

    def limits(self, rows: NDArray[np.bool_], pusd: NDArray[np.int64]) -> tuple[float | None, float | None]:
        """Return the interval of the sum of ``pusd`` (n,) over ``rows`` (n,) [USD].

        None in a log that is whole; in a sample where fewer than ten units tell, and where it is too ``thin``: see ``sampling.limits``.
        """
        return limits(pusd[rows] / PUSD_PER_USD, self.weight[rows], self.units[rows], self.thin) if self.sampled else (None, None)

    @cached_property
    def units(self) -> NDArray[np.int64]:
        """Codes from 0 of what a sample draws whole, (n,): the conversation, else the user, else the request."""
        return units_of(self.traffic)

    @property
    def sampled(self) -> bool:
        """Whether rows stand for others that the log lacks."""
        return bool((self.weight != 1).any())

    @cached_property
    def thin(self) -> str:
        """Why no sum of a sample has an interval, in words; nothing where sums may have one."""
        return too_thin(self.traffic) if self.sampled else ""

    @property
    def standing(self) -> str:
        """For how many requests a sample's rows stand, in words; nothing for a log that is whole."""
        return standing(self.weight)

    @cached_property
    def evidence(self) -> NDArray[np.int8]:
        """Codes into ``schema.EVIDENCE``, (n,): the weaker of the log's own and the rate's; of a row of a sample at best estimated."""
        return np.maximum(self.priced.evidence, self.logged)

    @cached_property
    def logged(self) -> NDArray[np.int8]:
        """Codes into ``schema.EVIDENCE``, (n,): how the log itself knows its rows, whatever the rates."""
        return evidence_of(self.traffic, self.traffic.arrow("weight", "evidence"))

    @cached_property
    def parts_pusd(self) -> NDArray[np.int64]:
        """Weighted spend per token bucket [pUSD], shape (n, 6); rows sum exactly to ``spend_pusd``."""
        running = weighted(np.cumsum(self.priced.parts_pusd, axis=1), self.weight[:, None])
        running[self.hit] = 0
        return np.diff(running, axis=1, prepend=0)

    def by(self, *columns: str) -> pd.DataFrame:
        """Sum spend by ``columns``: any of the log's, ``hour`` (of the day, UTC), ``day``, or ``bucket`` (token bucket).

        Returns ``columns``, ``requests``, ``tokens``, ``usd``, ``share`` of the total and ``unpriced`` requests (all weighted), dearest
        first; of a sample also ``low`` and ``high`` of each sum, NaN below ten units or where it is too ``thin``. InputError names a column
        that is not there.
        """
        known = (*_GROUPS, *_DERIVED)
        for column in columns or ("",):
            if column not in known:
                raise InputError(f"column {column!r}", f"one or more of {', '.join(known)}", did_you_mean(column, known).removesuffix("?"))
        keys = self._keys([c for c in columns if c != "bucket"])
        if "bucket" not in columns:
            grouped = self._grouped(keys, self.spend_pusd, self.tokens.sum(1))
        else:
            named = [keys.assign(bucket=name) for name in TOKEN_BUCKETS]
            each = [self._grouped(k, self.parts_pusd[:, i], self.tokens[:, i]) for i, k in enumerate(named)]
            grouped = pd.concat(each, ignore_index=True)
        grouped["share"] = grouped["usd"] / (self.total.value or 1.0)
        ordered = grouped.sort_values("usd", ascending=False, kind="stable", ignore_index=True)
        ends = ["low", "high"] if self.sampled else []
        return ordered[[*columns, "requests", "tokens", "usd", *ends, "share", "unpriced"]]

    def _keys(self, columns: Sequence[str]) -> pd.DataFrame:
        derived = [c for c in columns if c in _DERIVED]
        frame = self.traffic.frame(*[c for c in columns if c not in _DERIVED], *["timestamp"] * bool(derived or not columns))
        for column in derived:
            frame[column] = frame["timestamp"].dt.hour if column == "hour" else frame["timestamp"].dt.strftime("%Y-%m-%d")
        return frame[list(columns)]

    def _grouped(self, keys: pd.DataFrame, spend: NDArray[np.int64], tokens: NDArray[np.int64]) -> pd.DataFrame:
        counts = pd.DataFrame({"requests": self.weight, "tokens": self.weight * tokens, "unpriced": self.weight * (self.reason != 0)})
        sums = counts.groupby([keys[c] for c in keys], dropna=False, observed=True, sort=False).sum()
        sums["usd"] = usd_by(spend, keys)
        sums[["tokens", "unpriced"]] = np.rint(sums[["tokens", "unpriced"]]).astype(np.int64)
        found = sums.reset_index()
        return found.join(self._limits(keys, spend)) if self.sampled else found

    def _limits(self, keys: pd.DataFrame, spend: NDArray[np.int64]) -> pd.DataFrame:
        """Return ``low, high`` [USD] of each group of ``keys``, in the order in which groups occur."""
        group = keys.groupby(list(keys), dropna=False, observed=True, sort=False).ngroup().to_numpy()
        order = np.argsort(group, kind="stable")
        usd, weight, unit = spend[order] / PUSD_PER_USD, self.weight[order], self.units[order]
        ends = np.searchsorted(group[order], np.arange(group.max(initial=-1) + 2))
        found: list[tuple[float | None, float | None]] = []
        for a, b in pairwise(ends.tolist()):
            told = b - a >= REFUSE or (weight[a:b] == 1).all()  # fewer rows are fewer units
            found.append(limits(usd[a:b], weight[a:b], unit[a:b], self.thin) if told else (None, None))
        return pd.DataFrame(found, columns=["low", "high"], dtype=float)

    @cached_property
    def table(self) -> pd.DataFrame:
        """Spend by app and model."""
        return self.by("app", "model")

    @cached_property
    def losses(self) -> pd.DataFrame:
        """What failures, retries and missed caches cost: ``loss, requests, usd, evidence, meaning``, of a sample also ``low, high``."""
        return losses(self)

    @cached_property
    def unpriced(self) -> pd.DataFrame:
        """Rows without a price: ``request_id, timestamp, app, provider, model, service_tier, reason``; the rest is priced."""
        rows = np.flatnonzero(self.reason)
        frame = self.traffic.frame("request_id", "timestamp", "app", "provider", "model", "service_tier").iloc[rows]
        return frame.assign(reason=np.array(self.priced.reasons, object)[self.reason[rows]]).reset_index(drop=True)

    @cached_property
    def problems(self) -> pd.DataFrame:
        """Rows without a price: ``provider, model, tier, reason, rows, requests`` (weighted), most requests first."""
        frame = self.unpriced.rename(columns={"service_tier": "tier"}).assign(rows=1, requests=self.weight[self.reason != 0])
        keys = frame.groupby(["provider", "model", "tier", "reason"], dropna=False, observed=True, sort=False)
        found = keys[["rows", "requests"]].sum().reset_index()
        return found.sort_values("requests", ascending=False, kind="stable", ignore_index=True)

    @cached_property
    def lacking(self) -> dict[str, NDArray[np.float64]]:
        """Why rows have no price, and for how many requests each of these rows stands, most requests first."""
        found = {str(self.priced.reasons[i]): self.weight[self.reason == i] for i in np.unique(self.reason[self.reason != 0])}
        return dict(sorted(found.items(), key=lambda reason: -reason[1].sum()))

    @cached_property
    def comparable(self) -> NDArray[np.bool_]:
        """Which rows (n,) have a price here and a cost in the source."""
        both: NDArray[np.bool_] = (self.reason == 0) & np.isfinite(self._source_usd)
        return both

    @property
    def compared(self) -> int:
        """How many rows are ``comparable``."""
        return int(self.comparable.sum())

    @cached_property
    def differs(self) -> NDArray[np.bool_]:
        """Which of the ``comparable`` rows (n,) cost another amount in the source: by more than 1 % and 1e-6 USD."""
        source, ours = self._source_usd, self.cost_pusd / 1e12
        near = np.maximum(AGREES_WITHIN * np.maximum(np.abs(ours), np.abs(source)), AGREES_WITHIN_USD)
        return self.comparable & (np.abs(ours - source) > near)

    @cached_property
    def difference(self) -> Estimate:
        """How much more the rows that differ cost here than in the source, weighted [USD]; of a sample with its limits."""
        more = np.where(self.differs, self.cost_pusd - np.nan_to_num(self._source_usd) * PUSD_PER_USD, 0.0)
        return self.estimate(self.differs, weighted(np.rint(more).astype(np.int64), self.weight))

    @cached_property
    def _source_usd(self) -> NDArray[np.float64]:
        source: NDArray[np.float64] = self.traffic.frame("source_cost_usd")["source_cost_usd"].to_numpy(float)
        return source

    @cached_property
    def disagreements(self) -> pd.DataFrame:
        """Rows that ``differs`` marks, largest difference first; costs are those of the row, ``weight`` for how many it stands.

        ``cause`` names the one mistake that would explain the source's figure, where one does: see ``causes``.
        """
        source, ours, rows = self._source_usd, self.cost_pusd / 1e12, np.flatnonzero(self.differs)
        frame = self.traffic.frame("request_id", "timestamp", "app", "provider", "model", "service_tier", "cache_hit", "weight").iloc[rows]
        frame = frame.assign(source_usd=source[rows], usd=ours[rows], difference_usd=ours[rows] - source[rows])
        frame["cause"] = causes(self, rows, source[rows])
        return frame.sort_values("difference_usd", key=np.abs, ascending=False, kind="stable", ignore_index=True)

    def price_again(self, rows: NDArray[np.int64], tokens: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the weighted spend [pUSD] of ``rows`` had they used ``tokens`` instead."""
        names = self.traffic.frame("provider", "model", "service_tier", "timestamp").iloc[rows]
        priced = self.book.price(names["provider"], names["model"], names["service_tier"], tokens, names["timestamp"])
        return weighted(priced.cost_pusd, self.weight[rows])

    @cached_property
    def text(self) -> str:
        """The audit in plain words."""
        from planner.prices.words import words  # prose is only made when read

        return words(self)

    def _repr_html_(self) -> str:
        head = "".join(f"<p class='mathjax_ignore'>{html.escape(line)}</p>" for line in self.text.split("\n"))
        return head + self.table.head(20).to_html(index=False, escape=True, formatters={"usd": "{:,.2f}".format, "share": "{:.1%}".format})


def audit(traffic: Traffic, book: PriceBook | None = None) -> Audit:
    """Price every request of ``traffic`` at its own time with ``book`` (default: the bundled catalogue).

    An answered request without any token count has no price, for the reason ``priced.NO_TOKENS``: its cost is not known to be zero. A
    failed request without tokens, and one answered from the response cache, cost nothing.
    """
    book = book or PriceBook.load()
    table = traffic.arrow("provider", "model", "service_tier", "timestamp", "weight", "cache_hit", "status")
    tokens = traffic.tokens()
    times = table["timestamp"].to_numpy().astype("datetime64[us]")
    priced = book.price(table["provider"], table["model"], table["service_tier"], tokens, times)
    hit = table["cache_hit"].to_numpy(zero_copy_only=False).astype(bool)
    uncounted = pc.equal(table["status"], "ok").to_numpy(zero_copy_only=False) & ~hit & ~tokens.any(axis=1)
    priced = priced.without(uncounted & (priced.cost_pusd == 0), NO_TOKENS)
    weight = table["weight"].to_numpy(zero_copy_only=False).astype(float)
    cost = np.where(hit, 0, priced.cost_pusd)
    reason = np.where(hit, 0, priced.reason).astype(np.int32)
    return Audit(traffic, book, priced, cost, weighted(cost, weight), reason, hit, tokens, weight)
