"""What both parts of the coverage benchmark stand on: prices, a calendar, a log on disk, and the judging of intervals.

In: columns of a made log; or a function from a seed to estimates, and what they aim at. Out: Traffic; how often the intervals hold the
truth, and how wide they are. Knows nothing of worlds or plans.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from planner.prices import PriceBook
from planner.stats import Estimate
from planner.traffic import Traffic, TrafficWriter

F64 = NDArray[np.float64]
#: Volume of each weekday, from Monday, of mean 1.
WEEK = np.array([1.2, 1.2, 1.2, 1.2, 1.2, 0.5, 0.5])
PRICED = dt.date(2026, 11, 1)
MONDAY = np.datetime64("2026-10-05", "us")


@cache
def book() -> PriceBook:
    """Return the catalogue."""
    return PriceBook.load()


def stored(
    folder: Path,
    user: NDArray[np.int64],
    timestamp: NDArray[np.datetime64],
    model: str,
    input: NDArray[np.int64],
    output: NDArray[np.int64],
    latency_ms: F64,
    **more: pa.Array,
) -> Traffic:
    """Return a log of OpenAI's ``model`` as a reader would write it, with ``more`` columns of Traffic."""
    n = len(user)
    columns = {
        "request_id": pa.array([f"r{i}" for i in range(n)]),
        "timestamp": pa.array(timestamp).cast(pa.timestamp("us", tz="UTC")),
        "user": pa.array(np.char.add("u", user.astype(str))),
        "provider": pa.array(np.full(n, "openai")),
        "model": pa.array(np.full(n, model)),
        "input_tokens": pa.array(input),
        "output_tokens": pa.array(output),
        "latency_ms": pa.array(latency_ms),
        **more,
    }
    with TrafficWriter(folder) as writer:
        writer.accept(pa.table(columns))
        return writer.close(source_format="generated")


def bounds(make: Callable[[int], Mapping[str, Estimate]], worlds: int, jobs: int) -> dict[str, F64]:
    """Return value, low and high of every estimate in every world, (worlds, 3); NaN where no interval was given."""
    with ProcessPoolExecutor(jobs) as pool:
        found = list(pool.map(make, range(worlds), chunksize=8))
    return {name: np.array([[e.value, e.low, e.high] for e in (f[name] for f in found)], float) for name in found[0]}


def score(found: F64, truth: float) -> dict[str, float]:
    """Judge the intervals ``found`` (worlds, 3) of one estimate; ``oracle_width`` is 2 · 1.96 · its true standard deviation."""
    value, low, high = found.T
    given = np.isfinite(low)
    low, high = low[given], high[given]
    covered, width, oracle = float(((low <= truth) & (truth <= high)).mean()), float(np.median(high - low)), 2 * 1.96 * float(value.std())
    return {
        "coverage": covered,
        "coverage_se": float(np.sqrt(covered * (1 - covered) / given.sum())),
        "too_low": float((high < truth).mean()),
        "too_high": float((low > truth).mean()),
        "median_width": width,
        "oracle_width": oracle,
        "width_ratio": width / oracle,
        "refused": float(1 - given.mean()),
        "truth": truth,
        "mean_estimate": float(value.mean()),
        "worlds": len(value),
    }
