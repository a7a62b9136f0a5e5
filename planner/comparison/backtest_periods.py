"""The two periods of a back-test: where a log is cut in time, and its earlier part as a log of its own.

In: Traffic, and where to cut it. Out: the moment of the cut, and a folder that holds what came before it, without texts. Whatever is
fitted on that folder cannot know what came after. Knows nothing of models or predictions.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from planner.errors import InputError
from planner.schema import TRAFFIC
from planner.traffic import Traffic, TrafficWriter

__all__ = ["MIN_REQUESTS", "cut_at", "earlier"]

#: Fewer requests than this on either side are no period.
MIN_REQUESTS = 100
_COLUMNS = tuple(n for n in TRAFFIC.names if n not in ("messages", "response", "prefix_blocks"))
#: The share of a log's time that comes first unless said.
_USUAL = 0.7
_FIX = "name a day of the log, or the share of its time that comes first: --split 0.7"


def cut_at(timestamp: NDArray[np.datetime64], split: float | str | dt.date) -> np.datetime64:
    """Return the moment at which the last period begins: after a share of the log's time, or at the start of a day (UTC).

    Raises InputError for a split that is neither, and, with a split that would do, where one side has fewer than 100 requests.

    >>> times = np.arange(np.datetime64("2026-11-01T00:00", "us"), np.datetime64("2026-11-11T00:00", "us"), np.timedelta64(1, "h"))
    >>> cut_at(times, 0.5), cut_at(times, "2026-11-06")
    (np.datetime64('2026-11-05T23:30:00.000000'), np.datetime64('2026-11-06T00:00:00.000000'))
    """
    if not len(timestamp):
        raise InputError("a log with no rows", "at least one request", "look at the quarantine of planner read")
    start, end = timestamp.min(), timestamp.max()
    cut = _moment(split, start, end)
    counts = int((timestamp < cut).sum()), int((timestamp >= cut).sum())
    if min(counts) < MIN_REQUESTS:
        raise InputError(
            f"a split at {str(cut)[:16]} with {counts[0]:,} requests before and {counts[1]:,} after",
            f"at least {MIN_REQUESTS} on either side; the log reaches from {str(start)[:16]} to {str(end)[:16]}",
            _advice(timestamp),
        )
    return cut


def _advice(timestamp: NDArray[np.datetime64]) -> str:
    """Name the share nearest to the default that leaves enough on either side, or say that none does."""
    ordered, n = np.sort(timestamp), len(timestamp)
    if n < 2 * MIN_REQUESTS:
        return f"no split does: the log has {n:,} requests, and two periods need {2 * MIN_REQUESTS}"
    for share in sorted((x / 100 for x in range(1, 100)), key=lambda x: abs(x - _USUAL)):
        before = int(np.searchsorted(ordered, _moment(share, ordered[0], ordered[-1])))
        if min(before, n - before) >= MIN_REQUESTS:
            return f"--split {share:g} leaves {before:,} before and {n - before:,} after"
    return "no share of its time does: its requests come too close together; read a longer log"


def _moment(split: float | str | dt.date, start: np.datetime64, end: np.datetime64) -> np.datetime64:
    if isinstance(split, dt.date):
        return np.datetime64(split.isoformat(), "us")
    try:
        share = float(split)
    except ValueError:
        try:
            return np.datetime64(dt.date.fromisoformat(str(split)).isoformat(), "us")
        except ValueError:
            raise InputError(f"split {split!r}", "a date like 2026-11-20, or a share like 0.7", _FIX) from None
    if not 0 < share < 1:
        raise InputError(f"split {split}", "a share between 0 and 1", _FIX)
    return start + (end - start) * share


def earlier(traffic: Traffic, cut: np.datetime64, folder: Path) -> Traffic:
    """Write the rows of ``traffic`` that arrived before ``cut`` into ``folder``, without texts, and open it; streams."""
    before = pa.scalar(int(cut.astype("datetime64[us]").astype(np.int64)), pa.timestamp("us", tz="UTC"))
    with TrafficWriter(folder, passing=True) as writer:
        for batch in traffic.batches(_COLUMNS):
            writer.accept(pa.Table.from_batches([batch.filter(pc.less(batch["timestamp"], before))]))
        return writer.close(evidence=traffic.meta.get("evidence", "measured"))
