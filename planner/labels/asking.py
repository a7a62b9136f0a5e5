"""Who may be asked about which request, at what price, and what is at stake.

In: a log's columns, candidates, apps.yaml, a price book. Out: Terms: arrays over requests and candidates, and the Work that a draw
from them makes. Knows nothing of how requests are drawn.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from planner.labels.eligible import NONE_ALLOWED, NONE_FITS, allowed
from planner.labels.quotes import Served, ask_pusd, served
from planner.prices import PriceBook, on_date
from planner.traffic import App, Traffic
from planner.units import PUSD_PER_USD

__all__ = ["Asked", "Terms", "terms_of"]

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
_BYTES_PER_TOKEN = 4


@dataclass(frozen=True)
class Asked:
    """How models are asked.

    Parameters
    ----------
    expected_output: model → tokens of its answer, where they are not assumed to be today's.
    limit_tokens: output limit where the log states none. grader_usd: [USD] what grading one answer costs.
    providers: who may see prompts where apps.yaml does not say.
    """

    expected_output: Mapping[str, float] = field(default_factory=dict)
    limit_tokens: int = 4_096
    grader_usd: float = 0.0
    providers: Collection[str] = ()


@dataclass(frozen=True, eq=False)
class Terms:
    """``n`` requests × ``c`` candidates.

    Parameters
    ----------
    spend_pusd: (n,) what a request cost as logged; ``priced``: where that is known.
    stake_pusd: (n,) what of it the cheapest candidate that may answer would not cost, on the same tokens.
    may: (n, c) may see it. fits: (n, c) and has room for it. ask: (n, c) and is not the one that answered already.
    answered: (n,) the log holds today's answer.
    tokens_in: (n,), tokens_out: (n, c + 1) expected, the last column for today's model. limit: (n,) the most that may be answered.
    unit_pusd: (n,) price of asking all that would be asked, grading included.
    """

    book: PriceBook
    at: dt.date
    candidates: tuple[Served, ...]
    spend_pusd: Ints
    priced: Bools
    stake_pusd: Ints
    may: Bools
    fits: Bools
    ask: Bools
    answered: Bools
    tokens_in: Ints
    tokens_out: Ints
    limit: Ints
    unit_pusd: Ints

    def refused(self, reason: NDArray[np.int8]) -> NDArray[np.int8]:
        """Add to ``reason`` that no candidate may see a request, or has room for it."""
        found = np.where((reason == 0) & ~self.may.any(axis=1), NONE_ALLOWED, reason)
        return np.where((found == 0) & ~self.fits.any(axis=1), NONE_FITS, found).astype(np.int8)


def terms_of(
    traffic: Traffic, frame: pd.DataFrame, candidates: Sequence[str], apps: Mapping[str, App], book: PriceBook, at: dt.date, how: Asked
) -> Terms:
    """Price ``frame``, the columns of ``traffic``: as logged, and on every candidate that may answer."""
    logged = _providers(frame)
    models = served(candidates, logged, book, at)
    tokens = traffic.tokens()
    spend, priced = _spend(book, frame, tokens, at)
    limit = frame["max_tokens"].fillna(how.limit_tokens).to_numpy(np.int64)
    tokens_in = tokens[:, :4].sum(axis=1)
    may = _may(frame, models, apps, logged, how.providers)
    room = np.array([m.window or np.iinfo(np.int64).max for m in models])
    fits = may & ((tokens_in + limit)[:, None] <= room)
    answered = _has_answer(traffic)
    same = frame["model"].to_numpy()[:, None] == np.array([m.model for m in models], object)
    ask = fits & ~(same & answered[:, None])
    out = _expected(frame, models, tokens[:, 4:].sum(axis=1), how.expected_output, limit)
    stake = _stake(book, frame, tokens, at, models, fits, spend)
    unit = _unit(book, frame, at, models, ask, answered | (same & ask).any(axis=1), priced, tokens_in, out)
    unit += np.rint(how.grader_usd * PUSD_PER_USD * (ask.sum(axis=1) + ~(same & ask).any(axis=1))).astype(np.int64)
    return Terms(book, at, models, spend, priced, stake, may, fits, ask, answered, tokens_in, out, limit, unit)


def _providers(frame: pd.DataFrame) -> dict[str, str]:
    """Return model → the provider that the log shows most often for it."""
    known = frame[["model", "provider"]].dropna().value_counts().reset_index().drop_duplicates("model")
    return dict(zip(known["model"], known["provider"], strict=True))


def _spend(book: PriceBook, frame: pd.DataFrame, tokens: Ints, at: dt.date) -> tuple[Ints, Bools]:
    found = book.price(frame["provider"], frame["model"], frame["service_tier"], tokens, _when(frame, at))
    return np.where(frame["cache_hit"].to_numpy(bool), 0, found.cost_pusd), found.reason == 0


def _when(frame: pd.DataFrame, at: dt.date) -> NDArray[np.datetime64]:
    return on_date(at, frame["timestamp"].dt.tz_localize(None).to_numpy())


def _may(
    frame: pd.DataFrame, models: Sequence[Served], apps: Mapping[str, App], logged: Mapping[str, str], providers: Collection[str]
) -> Bools:
    """Say which candidates may see which request, shape (n, c)."""
    names, codes = np.unique(frame["app"].to_numpy(str), return_inverse=True)
    seen = {*frame["provider"].dropna()}
    rows = [
        [m in allowed(apps[name], models, logged, seen, providers) for m in models] if name in apps else [False] * len(models)
        for name in names
    ]
    return np.array(rows, bool).reshape(len(names), len(models))[codes]


def _has_answer(traffic: Traffic) -> Bools:
    parts = [batch["response"].is_valid().to_numpy(zero_copy_only=False) for batch in traffic.batches(("response",), 8_192)]
    return np.concatenate(parts) if parts else np.zeros(0, bool)


def _expected(frame: pd.DataFrame, models: Sequence[Served], today: Ints, stated: Mapping[str, float], limit: Ints) -> Ints:
    """Return tokens of an answer, shape (n, c + 1): as stated, else as today's, never above the limit; the last column is today's."""
    columns = [np.full(len(frame), round(stated[m.model])) if m.model in stated else today for m in models]
    return np.asarray(np.minimum(np.column_stack([*columns, today]), limit[:, None]), np.int64)


def _stake(book: PriceBook, frame: pd.DataFrame, tokens: Ints, at: dt.date, models: Sequence[Served], fits: Bools, spend: Ints) -> Ints:
    """Return spend less the price of the cheapest candidate on the same tokens, 0 where none is cheaper."""
    cheapest = spend.copy()
    for k, m in enumerate(models):
        found = book.price(m.provider, m.model, frame["service_tier"], tokens, _when(frame, at))
        known = fits[:, k] & (found.reason == 0)
        cheapest = np.where(known, np.minimum(cheapest, found.cost_pusd), cheapest)
    return spend - cheapest


def _unit(
    book: PriceBook,
    frame: pd.DataFrame,
    at: dt.date,
    models: Sequence[Served],
    ask: Bools,
    answered: Bools,
    priced: Bools,
    tokens_in: Ints,
    out: Ints,
) -> Ints:
    """Return the price of every answer that would be asked for, today's model included where the log lacks its answer."""
    total = np.zeros(len(frame), np.int64)
    for k, m in enumerate(models):
        total += np.where(ask[:, k], ask_pusd(book, m.provider, m.model, tokens_in, out[:, k], at)[0], 0)
    again = np.flatnonzero(~answered & priced)
    if len(again):
        rows = frame.iloc[again]
        total[again] += ask_pusd(book, rows["provider"], rows["model"], tokens_in[again], out[again, -1], at)[0]
    return total
