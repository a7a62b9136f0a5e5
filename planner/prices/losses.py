"""Losses: what failed requests, retries and missed caches cost in a log.

In: a priced log. Out: a table with rows, money and how sure each figure is; what a log cannot show (what an earlier attempt
was billed, what a cache would still have held) is an upper bound and says so. Knows nothing of remedies: that is for plans.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from planner.prices.money import usd_sum, weighted

if TYPE_CHECKING:
    from planner.prices.audit import Audit

__all__ = ["losses"]


def losses(audit: Audit) -> pd.DataFrame:
    """Return one row per kind of loss: ``loss, requests, usd, evidence, meaning``."""
    frame = audit.traffic.frame("status", "attempts", "cache_key", "session_id", "timestamp", "model")
    rows = [
        *_failures(audit, frame["status"]),
        _retries(audit, frame["attempts"].to_numpy(np.int64)),
        _repeats(audit, frame["cache_key"]),
        _prompt_misses(audit, frame),
    ]
    return pd.DataFrame(rows, columns=["loss", "requests", "usd", "evidence", "meaning"])


def _failures(audit: Audit, status: pd.Series[str]) -> list[tuple[str, int, float, str, str]]:
    kinds = [k for k in status.value_counts().index if k != "ok"]
    masks = [(k, (status == k).to_numpy()) for k in kinds]
    return [(f"failed: {k}", int(m.sum()), usd_sum(audit.spend_pusd[m]), "measured", "billed for requests that failed") for k, m in masks]


def _retries(audit: Audit, attempts: NDArray[np.int64]) -> tuple[str, int, float, str, str]:
    again = attempts > 1
    extra = weighted(audit.spend_pusd[again], (attempts[again] - 1).astype(float))
    return ("retries", int(again.sum()), usd_sum(extra), "assumed", "at most: if every earlier attempt had been billed like the last")


def _repeats(audit: Audit, key: pd.Series[str]) -> tuple[str, int, float, str, str]:
    """Sum what was paid to ask the same thing again, by the gateway's own cache key."""
    repeat = (key.notna() & key.duplicated() & ~audit.hit).to_numpy()
    meaning = "at most: asked before under the same cache key, yet not answered from the response cache"
    return ("response-cache misses", int(repeat.sum()), usd_sum(audit.spend_pusd[repeat]), "estimated", meaning)


def _prompt_misses(audit: Audit, frame: pd.DataFrame) -> tuple[str, int, float, str, str]:
    """Price later turns again as if the tokens of the turn before had been read from the prompt cache.

    A turn's prompt is taken to begin with the whole input of the session's turn before, when the same model answered both.
    """
    ordered = frame[["session_id", "model", "timestamp"]].assign(input=audit.tokens[:, :4].sum(1))
    ordered = ordered[ordered["session_id"].notna() & ~audit.hit].sort_values(["session_id", "timestamp"], kind="stable")
    before = ordered.groupby("session_id")[["input", "model"]].shift()
    prefix = before["input"].where(before["model"] == ordered["model"], 0).clip(upper=ordered["input"]).fillna(0)
    moved = np.zeros(len(frame), np.int64)
    moved[ordered.index] = prefix.to_numpy(np.int64)
    moved = np.clip(moved - audit.tokens[:, 1], 0, audit.tokens[:, 0])
    rows = np.flatnonzero(moved)
    tokens = audit.tokens[rows].copy()
    tokens[:, 0] -= moved[rows]
    tokens[:, 1] += moved[rows]
    saved = np.maximum(audit.spend_pusd[rows] - audit.price_again(rows, tokens), 0)
    meaning = "at most: the turn before in the session, paid in full again instead of read from the provider's prompt cache"
    return ("prompt-cache misses", int((saved > 0).sum()), usd_sum(saved), "estimated", meaning)
