"""Sample: a share of a log that keeps whole conversations and says what each row stands for.

In: a Traffic, a share, a seed. Out: a Traffic in which every conversation (else user, else request) is there whole or not at all, drawn
by a hash of its id: the same seed keeps the same ones, and a smaller sample is part of a larger. The weight of a kept row grows by the
inverse of the share, so that expected sums are those of the log (Horvitz and Thompson, JASA 1952). Instead of rows, text alone can be
sampled: tokens and cost stay full. Knows nothing of levers but which cannot be judged on a part.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from planner.errors import InputError, NeedsError
from planner.schema import TEXT_STATES, TOKEN_BUCKETS
from planner.stats import REFUSE, WARN, draws, effective_clusters, expanded
from planner.traffic.handle import Traffic
from planner.traffic.rewrite import rewritten
from planner.traffic.rows import string_keys

__all__ = [
    "Spread", "conversations", "counted", "heaviest", "limits", "needs_every_row", "refuse_part", "sampled", "spread_of", "standing",
    "too_thin", "units_of",
]  # fmt: skip

#: What a lever does that a part of the requests cannot show, by its key.
_OF_ALL: Mapping[str, str] = {
    "exact_cache": "it finds a question again among all others",
    "semantic_cache": "it finds a question again among all others",
    "prompt_cache": "a prompt stays cached as long as the next one comes soon",
    "batch": "it gathers requests that wait for each other",
    "micro_batch": "it gathers requests that wait for each other",
    "rate_limit": "a limit is met by all requests together",
    "retry": "a budget of retries is shared by all requests",
}
#: Of these, the ones that look for equal or similar text.
_OF_TEXT = ("exact_cache", "semantic_cache", "prompt_cache", "micro_batch")
#: Cells in which what conversations spent is added up: a log of more has some share one, which makes few heavy ones no more than they are.
_CELLS = 1 << 20


@dataclass(frozen=True)
class Spread:
    """Among how few conversations the log that a sample was drawn from spent what it did.

    ``share`` was drawn; ``effective``: of so many conversations, alike, what the log spent might be; ``apps``: the same of each app, and
    ``times``: how many times what its drawn rows stand for each app spent. Both are empty where a sample was drawn before they were kept.
    """

    share: float
    effective: float
    apps: Mapping[str, float]
    times: Mapping[str, float]

    def thin(self, effective: float, under: str = "") -> str:
        """Say why a total that ``effective`` conversations of the log hold has no interval, and which sample would do; else nothing.

        ``under``: what they spent it under, where that is not the log itself, as `` under the plan``.
        """
        if self.share * effective >= REFUSE:
            return ""
        enough = math.ceil(100 * REFUSE / max(effective, REFUSE))
        fix = f"draw {enough}% or more with planner read --sample" if enough < 100 else "read the whole log"
        return (
            f"Totals have no interval: {self._said(effective, under)}, and ten are needed, since what few heavy ones hold may be missing "
            f"from it; {fix}."
        )

    def rough(self, effective: float, under: str = "") -> str:
        """Say why the interval of a total that ``effective`` conversations of the log hold is to be read with care; else nothing."""
        if not REFUSE <= self.share * effective < WARN:
            return ""
        return f"Read the limits of totals with care: {self._said(effective, under)}, and below fifty they hold less often than they say."

    def _said(self, effective: float, under: str) -> str:
        shown, few = (f"{n:,.0f}" if n >= REFUSE else f"{n:.1f}" for n in (effective, self.share * effective))
        return (
            f"by what they spent{under} the log has {shown} effective conversations, of which {few} are to be expected in a sample of "
            f"{100 * self.share:.4g}%"
        )


def sampled(traffic: Traffic, share: float, out: str | Path | None = None, *, seed: int = 0, text_only: bool = False) -> Traffic:
    """Keep ``share`` of a log: whole conversations, else users, else requests.

    Parameters
    ----------
    traffic: the log. share: in (0, 1]; 1 keeps everything as it is.
    out: folder to write; by default one under ``.planner/traffic/``.
    seed: of the draws; a sample of a sample draws anew.
    text_only: keep every row with its tokens and cost, and drop messages and answers of the others (``text_state`` none): money stays
        measured on all rows, weights stay as they are. Either way rows that were set aside keep their place and reason alone.

    Raises InputError for a share outside (0, 1], and when nothing would be kept; NeedsError for texts that stayed in the log.
    """
    if text_only:
        traffic.require_text("keeping the text of a share")
    if not 0 < share <= 1:
        raise InputError(f"share={share!r}", "a number above 0 and at most 1", "for example 0.02, in the shell 2%")
    before = traffic.meta.get("samples", [])
    keep = _kept(traffic, share, seed, len(before))
    if not keep.any():
        raise InputError(f"{share:.2%} of {len(traffic):,} requests, which is none", "at least one conversation", "take a larger share")
    about: dict[str, Any] = {"share": share, "seed": seed, "rows_before": len(traffic), "rows_drawn": int(keep.sum())}
    about["text_only"] = text_only
    if not text_only:
        about["effective"], about["apps"] = _effective(traffic, keep, share)
    kind = "text" if text_only else "rows"
    folder = Path(out) if out is not None else Path(".planner") / "traffic" / f"sample-{traffic.hash[:8]}-{share:g}-{seed}-{kind}"

    def change(rows: pa.Table, at: NDArray[np.int64]) -> pa.Table:
        return _without_text(rows, keep[at]) if text_only else _weighted(rows.filter(pa.array(keep[at])), share)

    return rewritten(traffic, folder, change, aside=lambda rows: rows.assign(raw=""), samples=[*before, about])


def needs_every_row(traffic: Traffic, levers: Iterable[str]) -> list[str]:
    """Say, a sentence each, which of ``levers`` (their keys) cannot be judged on ``traffic``, because rows or texts were sampled.

    A log whose weights are all 1 and whose texts were not sampled holds every row: nothing is said.
    """
    most, texts = heaviest(traffic), _text_share(traffic)
    found = []
    for key in dict.fromkeys(levers):
        if key in _OF_ALL and most is not None:
            found.append(f"{key} needs every request, since {_OF_ALL[key]}; in this log a row stands for up to {most:,.4g} requests.")
        elif key in _OF_TEXT and texts < 1:
            found.append(f"{key} needs the text of every request, since {_OF_ALL[key]}; this log kept that of {texts:.2%}.")
    return found


def refuse_part(traffic: Traffic, why: str, fix: str = "give the whole log (--sample-text keeps every row)") -> None:
    """Raise NeedsError for a log whose rows stand for others, with ``why`` every one of them is needed."""
    if (most := heaviest(traffic)) is not None:
        raise NeedsError(
            f"{traffic.folder}, a sample whose rows stand for up to {most:,.4g} requests",
            f"every request, since {why}",
            fix,
        )


def too_thin(traffic: Traffic) -> str:
    """Say why no total of a sample has an interval, and which sample would do; nothing where totals may have one.

    It is told by the log that was drawn from, not by what was drawn: a sample that lacks the few heavy conversations looks the surest.
    Where they hold so much that fewer than ten effective ones, by what they spent, are to be expected in it, its interval would miss the
    log's total far more often than it says. Nothing is said of a sample of which that is not known.
    """
    spread = spread_of(traffic)
    return "" if spread is None else spread.thin(spread.effective)


def spread_of(traffic: Traffic) -> Spread | None:
    """Return what is known of the log that a sample was drawn from; of several draws the one that leaves fewest to be expected."""
    drawn = [s for s in traffic.meta.get("samples", []) if not s["text_only"] and s["share"] < 1 and "effective" in s]
    if not drawn:
        return None
    least = min(drawn, key=lambda s: s["share"] * s["effective"])
    effective, times = ({app: own[name] for app, own in least.get("apps", {}).items()} for name in ("effective", "times"))
    return Spread(least["share"], least["effective"], effective, times)


def limits(
    brought: NDArray[np.floating[Any]], weight: NDArray[np.float64], unit: NDArray[np.int64], thin: str = ""
) -> tuple[float, float] | tuple[None, None]:
    """Return the 95 % limits of a total of a sample: of rows that brought so much (n,), with their ``weight`` (n,) and ``units_of`` (n,).

    None where fewer than ten units tell, and where the sample is too ``thin``. What stands for nothing but itself is exact in any sample.

    >>> limits(np.array([2.0, 3.0]), np.ones(2), np.arange(2), "too thin"), limits(np.array([40.0]), np.array([20.0]), np.arange(1))
    ((5.0, 5.0), (None, None))
    """
    if thin and (weight != 1).any():
        return None, None
    found = expanded(brought, weight, unit)
    return (None, None) if np.isnan(found.low) else (float(found.low), float(found.high))


def counted(weight: NDArray[np.float64]) -> str:
    """Say for how many requests rows of this ``weight`` (n,) stand, and how many were drawn where that is another number.

    >>> counted(np.full(44, 50.0)), counted(np.ones(1_044))
    ('2,200 (44 drawn)', '1,044')
    """
    return f"{weight.sum():,.0f}{f' ({len(weight):,} drawn)' if (weight != 1).any() else ''}"


def standing(weight: NDArray[np.float64]) -> str:
    """Say for how many requests the rows of a whole sample stand, after how many they are; nothing of a log that is whole.

    >>> standing(np.full(44, 50.0)), standing(np.ones(44))
    (' (standing for 2,200)', '')
    """
    return f" (standing for {weight.sum():,.0f})" if (weight != 1).any() else ""


def conversations(rows: pa.Table | pa.RecordBatch) -> NDArray[np.uint64]:
    """Return the key of what each row is drawn with: its conversation, else its user, else itself."""
    return string_keys(pc.coalesce(rows["session_id"], rows["user"], rows["request_id"]))


def units_of(traffic: Traffic) -> NDArray[np.int64]:
    """Return codes from 0 of what a sample draws whole, (n,)."""
    keys = conversations(traffic.arrow("session_id", "user", "request_id"))
    return np.asarray(np.unique(keys, return_inverse=True)[1], np.int64)


def _kept(traffic: Traffic, share: float, seed: int, level: int) -> NDArray[np.bool_]:
    parts = [np.zeros(0, bool)]
    for batch in traffic.batches(("session_id", "user", "request_id")):
        parts.append(draws.uniform(seed, conversations(batch), f"sample/{level}") < share)
    return np.concatenate(parts)


def _effective(traffic: Traffic, keep: NDArray[np.bool_], share: float) -> tuple[float, dict[str, dict[str, float]]]:
    """Return the effective number of what is drawn whole, by what it spent: as the log says, where it says nothing by tokens.

    Of all of the log, and of each app, with how many times what its rows to ``keep`` stand for the app spent.
    """
    parts: list[pa.Table] = []
    done = 0
    for batch in traffic.batches(("session_id", "user", "request_id", "app", "weight", "source_cost_usd", *TOKEN_BUCKETS)):
        weight, usd = (batch[name].to_numpy(zero_copy_only=False).astype(float) for name in ("weight", "source_cost_usd"))
        used = sum(batch[name].to_numpy(zero_copy_only=False) for name in TOKEN_BUCKETS)
        spent = {"usd": weight * np.nan_to_num(usd), "tokens": weight * used}
        kept = keep[done : done + len(batch)] / share
        drawn = {f"{name}_drawn": values * kept for name, values in spent.items()}
        cell = (conversations(batch) % _CELLS).astype(np.int64)
        parts.append(_added_up(pa.table({"app": pc.fill_null(batch["app"], ""), "cell": cell, **spent, **drawn})))
        done += len(batch)
        if sum(map(len, parts)) > 4 * _CELLS:
            parts = [_added_up(pa.concat_tables(parts))]
    found = _added_up(pa.concat_tables(parts)).to_pandas()
    name = "usd" if found["usd"].any() else "tokens"
    sums = found.groupby("app")[[name, f"{name}_drawn"]].sum()
    times = (sums[name] / sums[f"{name}_drawn"]).replace([np.inf, np.nan], 1.0)
    apps = {str(app): {"effective": effective_clusters(own), "times": float(times[app])} for app, own in found.groupby("app")[name]}
    return effective_clusters(np.bincount(found["cell"], found[name])), apps


def _added_up(rows: pa.Table) -> pa.Table:
    """Add up what was spent, and what was drawn of it, by app and cell."""
    amounts = rows.column_names[2:]
    return rows.group_by(["app", "cell"]).aggregate([(name, "sum") for name in amounts]).rename_columns(rows.column_names)


def _weighted(rows: pa.Table, share: float) -> pa.Table:
    return _replaced(rows, weight=pc.divide(rows["weight"], share))


def _without_text(rows: pa.Table, keep: NDArray[np.bool_]) -> pa.Table:
    kept = pa.chunked_array([pa.array(keep)])
    none = pa.scalar(None, pa.string())
    changes = {c: pc.if_else(kept, rows[c], none) for c in ("messages", "response")}
    return _replaced(rows, **changes, text_state=pc.if_else(kept, rows["text_state"], TEXT_STATES[-1]))


def _replaced(rows: pa.Table, **columns: Any) -> pa.Table:
    for name, values in columns.items():
        rows = rows.set_column(rows.column_names.index(name), name, values)
    return rows


def heaviest(traffic: Traffic) -> float | None:
    """Return the largest weight of a log that does not hold every row; None of one that does, whose weights are all 1."""
    file = pq.ParquetFile(traffic.folder / "traffic.parquet").metadata
    column = file.schema.names.index("weight") if file.num_row_groups else 0
    stats = [file.row_group(g).column(column).statistics for g in range(file.num_row_groups)]
    low, high = min((s.min for s in stats), default=1.0), max((s.max for s in stats), default=1.0)
    return None if low == high == 1.0 else float(high)


def _text_share(traffic: Traffic) -> float:
    return float(np.prod([s["share"] for s in traffic.meta.get("samples", []) if s["text_only"]]))
