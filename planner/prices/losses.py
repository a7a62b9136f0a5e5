"""Losses: what failed requests, retries and missed caches cost in a log.

In: a priced log. Out: a table with rows, money and how sure each figure is; what a log cannot show (what an earlier attempt
was billed, what a cache would still have held) is an upper bound by the providers' rules and says so; what a sample cannot show is not
given. Knows nothing of remedies: that is for plans.
"""

from __future__ import annotations

import math
from datetime import date
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from planner.errors import PriceError
from planner.prices.money import weighted
from planner.prices.provider_rules import prompt_cache
from planner.schema import MADE_KEY

if TYPE_CHECKING:
    from planner.prices.audit import Audit
    from planner.prices.book import PriceBook

__all__ = ["losses"]


#: A loss: its name, the rows (n,) that had it, what each row lost [pUSD, weighted], what it means, and how well it can be known at best;
#: instead of what was lost, why that cannot be told.
Loss: TypeAlias = tuple[str, NDArray[np.bool_], NDArray[np.int64] | str, str, str]


def losses(audit: Audit) -> pd.DataFrame:
    """Return one row per kind of loss: ``loss, requests, usd, evidence, meaning``; of a sample also ``low, high`` of the dollars.

    Requests and dollars are those that the log stands for. A loss that only a whole log shows is NaN in a sample, and ``meaning`` says why.
    """
    frame = audit.traffic.frame("status", "attempts", "cache_key", "session_id", "timestamp", "model", "provider", "service_tier")
    found = [
        *_failures(audit, frame["status"]),
        _retries(audit, frame["attempts"].to_numpy(np.int64)),
        _repeats(audit, frame["cache_key"]),
        _prompt_misses(audit, frame),
    ]
    return pd.DataFrame([_row(audit, loss) for loss in found])


def _row(audit: Audit, loss: Loss) -> dict[str, Any]:
    name, rows, lost, evidence, meaning = loss
    limits = {"low": math.nan, "high": math.nan} if audit.sampled else {}
    if isinstance(lost, str):
        return {"loss": name, "requests": math.nan, "usd": math.nan, **limits, "evidence": evidence, "meaning": lost}
    usd = audit.estimate(rows, lost, evidence)
    if usd.low is not None and usd.high is not None:
        limits = {"low": usd.low, "high": usd.high}
    requests = float(audit.weight[rows].sum())
    return {"loss": name, "requests": requests, "usd": usd.value, **limits, "evidence": usd.evidence, "meaning": meaning}


def _failures(audit: Audit, status: pd.Series[str]) -> list[Loss]:
    kinds = [k for k in status.value_counts().index if k != "ok"]
    meaning = "billed for requests that failed"
    return [(f"failed: {k}", (status == k).to_numpy(), audit.spend_pusd, "measured", meaning) for k in kinds]


def _retries(audit: Audit, attempts: NDArray[np.int64]) -> Loss:
    extra = weighted(audit.spend_pusd, np.maximum(attempts - 1, 0).astype(float))
    return ("retries", attempts > 1, extra, "assumed", "at most: if every earlier attempt had been billed like the last")


def _repeats(audit: Audit, key: pd.Series[str]) -> Loss:
    """Sum what was paid to ask the same thing again, by the gateway's own cache key."""
    key = key.mask(key.str.startswith(MADE_KEY, na=False))
    repeat = (key.notna() & key.duplicated() & ~audit.hit).to_numpy()
    meaning = "at most: asked before under the same cache key, yet not answered from the response cache"
    lost: NDArray[np.int64] | str = audit.spend_pusd
    if audit.sampled and key.notna().any():
        lost = "not given, since who asked the same before may not be in the sample; read the whole log"
    return ("response-cache misses", repeat, lost, "estimated", meaning)


def _prompt_misses(audit: Audit, frame: pd.DataFrame) -> Loss:
    """Price later turns again as if the tokens of the turn before had been read from the prompt cache.

    A turn's prompt is taken to begin with the whole input of the session's turn before, when the same model answered both, the
    earlier one within the longest lifetime that the provider's rule allows, and the common part is as long as the rule asks.
    Without a rule (``provider_rules``) nothing is lost; neither do batches, failures and requests that wrote to a cache count.
    """
    reuse = _reusable(audit, frame)
    rows = np.flatnonzero(reuse)
    tokens = audit.tokens[rows].copy()
    tokens[:, 0] -= reuse[rows]
    tokens[:, 1] += reuse[rows]
    saved = np.zeros(len(frame), np.int64)
    saved[rows] = np.maximum(audit.spend_pusd[rows] - audit.price_again(rows, tokens), 0)
    meaning = (
        "at most: if every prompt began with the whole turn before in its session and each reuse within the provider's lifetime "
        "and above its minimum had hit; planner plan counts the text that is really shared"
    )
    lost: NDArray[np.int64] | str = saved
    if frame["session_id"].notna().any() and not _sessions_whole(audit):
        lost = "not given, since the turn before may not be in the sample; read the whole log, or sample it with planner read --sample"
    return ("prompt-cache misses", saved > 0, lost, "assumed", meaning)


def _sessions_whole(audit: Audit) -> bool:
    """Say whether the log holds every session whole or not at all: what it lacks is what planner itself left out."""
    drawn = [sample["share"] for sample in audit.traffic.meta.get("samples", []) if not sample["text_only"]]
    return bool(np.allclose(audit.weight * np.prod(drawn), 1))


def _reusable(audit: Audit, frame: pd.DataFrame) -> NDArray[np.int64]:
    """Return per row how many of its fresh input tokens the turn before could have left in the provider's cache."""
    written = audit.tokens[:, 2:4].any(axis=1)
    live = frame["session_id"].notna() & ~audit.hit & (frame["status"] == "ok") & (frame["service_tier"] != "batch")
    turns = frame.assign(input=audit.tokens[:, :4].sum(1), **_rules(audit, frame))[live]
    turns = turns.sort_values(["session_id", "timestamp"], kind="stable")
    before = turns.groupby("session_id")[["input", "model", "provider", "timestamp"]].shift()
    same = (before["model"] == turns["model"]) & (before["provider"].fillna("") == turns["provider"].fillna(""))
    near = (turns["timestamp"] - before["timestamp"]).dt.total_seconds() <= turns["lifetime_s"]
    prefix = before["input"].where(same & near, 0).clip(upper=turns["input"]).fillna(0)
    prefix = (prefix // turns["step"] * turns["step"]).where(prefix >= turns["min_tokens"], 0)
    reuse = np.zeros(len(frame), np.int64)
    reuse[turns.index] = prefix.to_numpy(np.int64)
    out: NDArray[np.int64] = np.where(written, 0, np.clip(reuse - audit.tokens[:, 1], 0, audit.tokens[:, 0]))
    return out


def _rules(audit: Audit, frame: pd.DataFrame) -> dict[str, pd.Series[int]]:
    """Return per row the prompt-cache rule of its model at the end of the log; a lifetime below zero where there is none."""
    last = frame["timestamp"].max().date() if len(frame) else audit.book.date
    keys = frame[["provider", "model"]].astype(object).fillna("")
    found = {(p, m): _rule(audit.book, p, m, last) for p, m in keys.drop_duplicates().itertuples(index=False)}
    rows = [found[key] for key in zip(keys["provider"], keys["model"], strict=True)]
    table = pd.DataFrame(rows, index=frame.index, columns=["min_tokens", "step", "lifetime_s"])
    return {str(name): table[name] for name in table}


def _rule(book: PriceBook, provider: str, model: str, day: date) -> tuple[int, int, int]:
    try:
        rule = prompt_cache(*book.resolve(model, provider or None), day)
    except PriceError:
        rule = None
    return (rule.min_tokens, rule.step, max(seconds for seconds, _ in rule.lifetimes)) if rule else (0, 1, -1)
