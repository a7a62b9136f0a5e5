"""The parts of an evaluation set, and what else changed beside grades.

In: Pairs. Out: a row a slice (app, length, tools, language, format) with bounds that hold for all slices together; a row a measure (cost,
tokens, latency, unfinished answers) on both sides. Knows nothing of verdicts on the whole.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from planner.followup.gate_bounds import LEVEL, bounds, grouped
from planner.followup.gate_pairs import Pairs
from planner.router.scripts import script
from planner.stats import BUCKETS, buckets, jackknife
from planner.text.messages import conversation
from planner.text.tokens import count_tokens

__all__ = ["COLUMNS", "FEWEST", "beside", "shown", "slices"]

F64 = NDArray[np.float64]
#: Of a table of slices.
COLUMNS = ("dimension", "slice", "items", "units", "baseline", "new", "difference", "low", "high", "verdict")
#: Items without which a slice is not told apart.
FEWEST = 10
#: What is set beside grades: column → name of its mean.
_BESIDE = {
    "cost_usd": "cost [USD per answer]",
    "input_tokens": "input [tokens per answer]",
    "output_tokens": "output [tokens per answer]",
    "unfinished": "answers cut or refused [share]",
    "latency_ms": "latency, mean [ms]",
}
_QUANTILES = {"latency, p50 [ms]": 0.5, "latency, p95 [ms]": 0.95}


def slices(found: Pairs, margin: float, seed: int = 0) -> pd.DataFrame:
    """Return a row a slice, columns COLUMNS; qualities and their difference in [−1, 1].

    ``low`` and ``high`` are exact bounds at LEVEL over the number of slices each, so that all of them hold together with 95 % (Bonferroni).
    ``verdict``: ``worse`` where the slice is shown to lose more than ``margin``, ``holds`` where it is shown not to, else ``not shown``.
    A dimension in which all items are alike has no slices, and slices of fewer than FEWEST items are left out.
    """
    parts = [(dimension, name, mask) for dimension, name, mask in _parts(found) if mask.sum() >= FEWEST]
    rows = [(dimension, name, *_bounded(found, mask, margin, LEVEL / len(parts), seed)) for dimension, name, mask in parts]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _bounded(
    found: Pairs, mask: NDArray[np.bool_], margin: float, level: float, seed: int
) -> tuple[int, int, float, float, float, float, float, str]:
    weight, difference = found.weight[mask], found.difference[mask]
    units = grouped(difference, weight, found.unit[mask], margin, seed)
    low, high = bounds(units, margin, level)
    was, now = (float(np.average(side["quality"][mask], weights=weight)) for side in (found.baseline, found.new))
    return int(mask.sum()), len(units), was, now, now - was, low, high, shown(low, high, margin)


def shown(low: float, high: float, margin: float) -> str:
    """Return what bounds of a difference show: ``holds``, ``worse`` or ``not shown``.

    >>> shown(-0.01, 0.0, 0.02), shown(-0.05, -0.03, 0.02), shown(-0.05, 0.0, 0.02)
    ('holds', 'worse', 'not shown')
    """
    return "holds" if low >= -margin else "worse" if high < -margin else "not shown"


def _parts(found: Pairs) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    """Yield every slice of every dimension in which items differ."""
    items = found.items
    talks = [conversation(m) for m in items["messages"]]
    columns = {
        "app": items["app"].to_numpy(str),
        "length": _lengths(count_tokens([t.full for t in talks]).astype(float)),
        "tools": np.where(items["has_tools"].to_numpy(bool), "with tools", "without tools"),
        "language": np.array([script(t.last) for t in talks]),
        "format": items["response_format"].to_numpy(str),
    }
    for dimension, values in columns.items():
        names = dict.fromkeys(sorted(values.tolist(), key=_first_number))
        for name in names if len(names) > 1 else ():
            yield dimension, name, values == name


def _first_number(name: str) -> tuple[int, str]:
    """Return what orders slices: lengths by where they begin, names by the alphabet."""
    first = name.split(" ")[0].replace(",", "")
    return (int(first) if first.isdigit() else 0), name


def _lengths(tokens: F64) -> NDArray[np.str_]:
    """Return the third of the prompt lengths that each prompt is in, in words.

    >>> _lengths(np.array([1.0, 5, 9])).tolist()
    ['1 to 3 tokens', '4 to 6 tokens', '7 to 9 tokens']
    """
    first, second = np.quantile(tokens, [1 / 3, 2 / 3])
    ends = [math.floor(tokens.min()), math.floor(first), math.floor(second), math.floor(tokens.max())]
    names = np.array([f"{low + (k > 0):,} to {high:,} tokens" for k, (low, high) in enumerate(pairwise(ends))])
    found: NDArray[np.str_] = names[(tokens > ends[1]).astype(int) + (tokens > ends[2])]
    return found


def beside(found: Pairs) -> pd.DataFrame:
    """Return a row a measure that both sides have: ``measure, items, baseline, new, difference, low, high``.

    Over the items of which both sides know it. The intervals (95 %) are a jackknife over units, none for quantiles; they decide nothing.
    """
    rows = []
    for column, name in _BESIDE.items():
        was, now, known = _both(found, column)
        if known.any():
            weight, bucket = found.weight[known], buckets(found.unit[known])
            sums = np.stack([np.bincount(bucket, weight * x, BUCKETS) for x in (now[known] - was[known], np.ones(known.sum()))], 1)
            mean = jackknife(sums, lambda s: s[..., 0] / s[..., 1], sums[:, 1])
            sides = (float(np.average(x[known], weights=weight)) for x in (was, now))
            rows.append((name, int(known.sum()), *sides, float(mean.value), float(mean.low), float(mean.high)))
    was, now, known = _both(found, "latency_ms")
    for name, q in _QUANTILES.items():
        if known.any():
            before, after = (float(np.quantile(x[known], q)) for x in (was, now))
            rows.append((name, int(known.sum()), before, after, after - before, math.nan, math.nan))
    return pd.DataFrame(rows, columns=["measure", "items", "baseline", "new", "difference", "low", "high"])


def _both(found: Pairs, column: str) -> tuple[F64, F64, NDArray[np.bool_]]:
    was, now = found.baseline[column].to_numpy(float), found.new[column].to_numpy(float)
    return was, now, np.isfinite(was) & np.isfinite(now)
