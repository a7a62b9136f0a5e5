"""The audit in words.

In: an Audit. Out: a few sentences that a reader without the table can act on. Computes nothing of its own.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from planner.prices.money import spanned
from planner.prices.priced import NO_TOKENS
from planner.schema import EVIDENCE, TOKEN_BUCKETS
from planner.traffic.reader import STATED
from planner.traffic.reasons import earlier_calls
from planner.traffic.sampling import counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from planner.prices.audit import Audit
    from planner.stats import Estimate

__all__ = ["resting", "words"]

_BUCKET_WORDS = ("fresh input", "cache reads", "five-minute cache writes", "one-hour cache writes", "visible output", "reasoning")


def words(audit: Audit) -> str:
    """Return the audit as lines of prose: total, where it goes, losses, source, what has no price."""
    lines = [_total(audit), audit.thin, _aside(audit), _where(audit), *_losses(audit), _source(audit), _unpriced(audit)]
    return "\n".join(line for line in lines if line)


def _total(audit: Audit) -> str:
    times = audit.traffic.frame("timestamp")["timestamp"]
    span = f" from {times.min():%Y-%m-%d} to {times.max():%Y-%m-%d}" if len(times) else ""
    total, overhead = audit.total, audit.overhead
    if not total.n and len(audit):
        return f"{len(audit):,} requests{audit.standing}{span}; none has a cost at the prices of {audit.book.name}."
    cost = f"{spanned(total.value, total.low, total.high, _usd)} {total.evidence}"
    text = f"{len(audit):,} requests{audit.standing}{span} cost {cost}, each at the prices of its own time ({audit.book.name})."
    if resting(audit):
        text += f" {resting(audit)}"
    if overhead.n:
        spent = spanned(overhead.value, overhead.low, overhead.high, _usd)
        rows = (audit.traffic.frame("purpose")["purpose"] == "overhead").to_numpy() & (audit.reason == 0)
        text += f" {counted(audit.weight[rows])} of them are overhead (routers, judges): {spent}."
    if audit.hit.any():
        text += f" {counted(audit.weight[audit.hit])} came from the response cache and cost nothing."
    return text


def resting(audit: Audit) -> str:
    """Say how much of the total is assumed, by what: rates, or what the log does not show; nothing where none is."""
    assumed, all_of_it = audit.total.shares.get(EVIDENCE[-1], 0.0), audit.total.value
    if not assumed:
        return ""
    rates, log = audit.priced.evidence == EVIDENCE.index("assumed"), audit.logged == EVIDENCE.index("assumed")
    by_rates, by_log = (audit.estimate(rows).value for rows in (rates, log))
    usd = "All of it" if assumed == all_of_it else f"{_usd(assumed)} of it"
    if not by_rates or not by_log:
        return f"{usd} rests on {_not_shown(audit, log) if by_log else 'assumed rates'}."
    both = ", some of it on both" if by_rates + by_log > assumed else ""
    return f"{usd} is assumed: {_usd(by_rates)} rests on assumed rates, {_usd(by_log)} on {_not_shown(audit, log)}{both}."


def _not_shown(audit: Audit, rows: NDArray[np.bool_]) -> str:
    """Say what ``rows`` (n,) rest on that the log does not show."""
    meta = audit.traffic.meta
    if meta.get("evidence") != EVIDENCE[-1]:
        return f"token counts of {counted(audit.weight[rows])} requests that the log's own numbers do not prove"
    stated = [a.removesuffix(STATED) for a in meta.get("assumed", ()) if a.endswith(STATED)]
    return f"{' and '.join(stated)}, stated and not logged" if stated else "models or token counts that the log does not show"


def _aside(audit: Audit) -> str:
    """Say what reading set aside: rows that are in none of these figures, and earlier calls, which are in the attempts alone."""
    calls = earlier_calls(audit.traffic.meta.get("reasons", {}))
    rows = int(audit.traffic.meta.get("quarantined", 0)) - calls
    said = [f"{rows:,} rows of the source were set aside when it was read and are in no figure: planner read says why."] * (rows > 0)
    if calls:
        told = "are earlier calls of these requests: in attempts and in what retries cost, and in no other figure."
        said.append(f"{calls:,} rows of the source {told}")
    return " ".join(said)


def _where(audit: Audit) -> str:
    if not audit.total.value:
        return ""
    apps, models, buckets = (_leading(audit.by(c), c) for c in ("app", "model", "bucket"))
    for name, said in zip(TOKEN_BUCKETS, _BUCKET_WORDS, strict=True):
        buckets = buckets.replace(name, said)
    return f"By app: {apps}. By model: {models}. By usage: {buckets}."


def _leading(table: pd.DataFrame, column: str) -> str:
    head = table[table["usd"] > 0].head(3)
    return ", ".join(f"{name} {share:.0%}" for name, share in zip(head[column], head["share"], strict=True))


def _losses(audit: Audit) -> list[str]:
    table = audit.losses
    lines = []
    for row in table[(table["usd"] > 0) | table["usd"].isna()].to_dict("records"):
        name = str(row["loss"]).capitalize()
        if math.isnan(row["usd"]):
            lines.append(f"{name}: {row['meaning']}.")
        else:
            usd = spanned(row["usd"], row.get("low"), row.get("high"), _usd)
            lines.append(f"{name}: {row['requests']:,.0f} requests, {usd} {row['evidence']} ({row['meaning']}).")
    return lines


def _source(audit: Audit) -> str:
    if not audit.compared:
        stated = (audit.traffic.frame("source_cost_usd")["source_cost_usd"] * audit.weight).sum()
        said = f"The source states {_usd(float(stated))} in all, but no row that has a price here has a cost there."
        return said if stated else "The source states no cost to compare with."
    apart, whole = audit.disagreements, counted(audit.weight[audit.comparable])
    if apart.empty:
        return f"The source's own cost agrees in all {whole} rows that have one."
    causes = apart["cause"].where(apart["cause"] != "", "no simple cause")
    why = apart["weight"].groupby(causes).sum().sort_values(ascending=False, kind="stable").head(3)
    said = "; ".join(f"{counted(apart['weight'][causes == cause].to_numpy())} rows: {cause}" for cause in why.index)
    rows = counted(apart["weight"].to_numpy())
    return f"The source's own cost differs in {rows} of {whole} rows, {_apart(audit.difference)}. {said}."


def _apart(usd: Estimate) -> str:
    """Say which cost is larger, and by how much; limits are turned round with the amount."""
    low, high = (usd.low, usd.high) if usd.value > 0 else (_less(usd.high), _less(usd.low))
    known = "" if usd.evidence == "measured" else f", {usd.evidence}"
    return f"ours {spanned(abs(usd.value), low, high, _usd)} {'more' if usd.value > 0 else 'less'} in all{known}"


def _less(value: float | None) -> float | None:
    return None if value is None else -value


def _unpriced(audit: Audit) -> str:
    others = {reason: weight for reason, weight in audit.lacking.items() if reason != NO_TOKENS}
    lines = []
    if NO_TOKENS in audit.lacking:
        how = "log usage, for streams with stream_options.include_usage: true"
        lines.append(f"{counted(audit.lacking[NO_TOKENS])} requests have {NO_TOKENS}; they are not in the total ({how}).")
    if others:
        more = f" ({len(others) - 1} further reasons)" if len(others) > 1 else ""
        first = next(iter(others))
        most = f"{counted(others[first])} of them: {first.rstrip('.')}{more}."
        lines.append(f"{counted(np.concatenate([*others.values()]))} requests have no price and are not in the total. {most}")
    return " ".join(lines) or "Every request has a price."


def _usd(value: float) -> str:
    decimals = 2 if abs(value) >= 1 or value == 0 else 4 if abs(value) >= 0.01 else 6
    return f"${value:z,.{decimals}f}"
