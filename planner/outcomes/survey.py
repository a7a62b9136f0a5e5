"""One pass over a log for what must be known of all its rows, however many they are.

In: traffic, and the ids of labelled requests. Out: a Survey: which rows models are fitted on, where the labelled ones are, what single
requests asked for, and counts of all of them. Memory is that of a batch and of what comes out. Knows nothing of models or prices.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from planner.outcomes.chance import dealt
from planner.outcomes.sizes import size_class
from planner.outcomes.tokens import Efforts
from planner.schema import TOKEN_BUCKETS
from planner.stats import draws
from planner.traffic import Traffic
from planner.traffic.rows import coded, identities

__all__ = ["MOST_ROWS", "Survey", "survey", "timed_out"]

Ints = NDArray[np.int64]
#: Of a log with more requests than this, about so many are fitted on.
MOST_ROWS = 1_000_000
_INPUT = TOKEN_BUCKETS[:4]
_CELL = ["model", "provider", "app", "size"]
_COUNTED = ["requests", "steerable", "randomised"]
_COLUMNS = ("request_id", "model", "provider", "app", "purpose", "cache_hit", "status", "error_class", "reasoning_effort",
            "action_propensities", *_INPUT)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Survey:
    """What was seen of ``n`` rows.

    Parameters
    ----------
    fitted: int64 positions of the rows that models are fitted on, ascending; None: all.
    labelled: int64 position of each labelled request, −1 where the log lacks it.
    cut: uint64 keys of the rows that were cut short, ascending: cancelled by the caller or timed out.
    efforts: the reasoning effort that requests asked for.
    counts: one row per (model, provider, app, size class): how many requests, how many of them are ``Rows.steerable``, and how many of
        these a logged policy sent there by chance.
    """

    fitted: Ints | None
    labelled: Ints
    cut: NDArray[np.uint64]
    efforts: Efforts = field(repr=False)
    counts: pd.DataFrame = field(repr=False)

    @property
    def served(self) -> dict[str, str]:
        """The provider that served most requests of each logged model."""
        sums = self.counts.groupby(["model", "provider"])["requests"].sum().reset_index()
        best = sums.sort_values(["model", "requests", "provider"], ascending=[True, False, True]).drop_duplicates("model")
        return {str(m): str(p) for m, p in zip(best["model"], best["provider"], strict=True) if p}


def survey(traffic: Traffic, labelled: Iterable[str] = (), seed: int = 0, most: int | None = None) -> Survey:
    """Look once at every row of ``traffic``; about ``most`` of them, by default MOST_ROWS, are to be fitted on.

    Those are drawn one by one, by their ids: every request is as likely, so that shares and means are those of the log. Whole users
    would not do, since one of them can have most of a log.
    """
    ids, n = pd.Index(list(labelled)), len(traffic)
    share = (MOST_ROWS if most is None else most) / max(n, 1)
    names, place = pa.array(ids, pa.string()), np.full(len(ids), -1, np.int64)
    keys = identities(traffic)["key"] if share < 1 else None
    fitted: list[Ints] = []
    cut: list[NDArray[np.uint64]] = []
    asked: list[tuple[NDArray[np.uint64], pa.Array]] = []
    counts: list[pa.Table] = []
    at = 0
    for batch in traffic.batches(_COLUMNS):
        own = batch["request_id"]
        if keys is not None:
            fitted.append(at + np.flatnonzero(draws.uniform(seed, keys[at : at + len(batch)], "fitted") < share))
        which = pc.index_in(own, names)
        place[which.drop_null().to_numpy()] = at + np.flatnonzero(which.is_valid())
        cut.append(_keys(own.filter(pc.or_(pc.equal(batch["status"], "cancelled"), timed_out(batch["error_class"])))))
        some = pc.fill_null(pc.not_equal(batch["reasoning_effort"], ""), False)
        asked.append((_keys(own.filter(some)), batch["reasoning_effort"].filter(some)))
        counts.append(_counted(batch))
        at += len(batch)
    return Survey(
        None if keys is None else np.concatenate(fitted),
        place,
        np.sort(np.concatenate([np.zeros(0, np.uint64), *cut])),
        _efforts(asked),
        _summed(counts),
    )


def timed_out(error_class: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Say whose caller gave up after a time it had set; no error is none.

    >>> timed_out(pa.array(["ReadTimeout", "RateLimitError", None])).to_pylist()
    [True, False, False]
    """
    return pc.fill_null(pc.match_substring(error_class, "timeout", ignore_case=True), False)


def _keys(ids: pa.Array) -> NDArray[np.uint64]:
    return draws.key(ids.to_pylist())


def _efforts(asked: list[tuple[NDArray[np.uint64], pa.Array]]) -> Efforts:
    keys = np.concatenate([np.zeros(0, np.uint64), *(key for key, _ in asked)])
    return Efforts.of(keys, coded(pa.chunked_array([effort for _, effort in asked], pa.string())))


def _counted(batch: pa.RecordBatch) -> pa.Table:
    """Count a batch by cell."""
    model = pc.fill_null(batch["model"], "")
    steerable = pc.and_(pc.equal(batch["purpose"], "user"), pc.invert(batch["cache_hit"]))
    chance = np.isfinite(dealt(batch["action_propensities"].to_pandas(), model.to_numpy(zero_copy_only=False)))
    size = size_class(np.sum([batch[name].to_numpy() for name in _INPUT], axis=0))
    cells = (model, pc.fill_null(batch["provider"], ""), pc.fill_null(batch["app"], ""), pa.array(size))
    flags = (pa.array(np.ones(len(batch), np.int64)), steerable, pc.and_(steerable, pa.array(chance)))
    return _added(pa.table([*cells, *(f.cast(pa.int64()) for f in flags)], [*_CELL, *_COUNTED]))


def _added(table: pa.Table) -> pa.Table:
    return table.group_by(_CELL).aggregate([(c, "sum") for c in _COUNTED]).rename_columns([*_CELL, *_COUNTED])


def _summed(counts: list[pa.Table]) -> pd.DataFrame:
    if not counts:
        return pd.DataFrame({c: np.zeros(0, np.int64) for c in (*_CELL, *_COUNTED)})
    frame: pd.DataFrame = _added(pa.concat_tables(counts)).to_pandas().sort_values(_CELL, ignore_index=True)
    return frame
