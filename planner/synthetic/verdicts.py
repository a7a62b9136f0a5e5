"""What a call costs, and what a grader says of an answer.

In: rows of a Log. Out: USD at the genai-prices catalogue's rates, and graded qualities around the truth. Knows nothing of
file formats or of which rows are labelled.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.stats import draws
from planner.synthetic.log import Log
from planner.synthetic.world import APPS, MODELS

__all__ = ["cost_usd", "draw_quality", "rates_usd"]


@cache
def rates_usd(model: int) -> tuple[float, float, float, float]:
    """Return USD per token of uncached input, cached input, written input and output, from genai-prices at the log's dates."""
    from genai_prices import Usage, calc_price

    n = 100_000
    kinds = (
        {"input_tokens": n}, {"input_tokens": n, "cache_read_tokens": n}, {"input_tokens": n, "cache_write_tokens": n},
        {"output_tokens": n},
    )  # fmt: skip
    m = MODELS[model]
    writes = m.provider == "anthropic"
    when = datetime(2026, 11, 1, tzinfo=UTC)
    prices = [float(calc_price(Usage(**k), m.name, provider_id=m.provider, genai_request_timestamp=when).total_price) / n
              for k in kinds if writes or "cache_write_tokens" not in k]  # fmt: skip
    return (prices[0], prices[1], prices[2] if writes else prices[0], prices[-1])


def cost_usd(model: NDArray[np.int64], read: Any, cached: Any, written: Any, output: Any) -> NDArray[np.float64]:
    """Return the cost [USD] of calls: uncached, cached and written input and all output, each in tokens."""
    rates = np.array([rates_usd(i) for i in range(len(MODELS))])[model]
    return np.asarray(read * rates[:, 0] + cached * rates[:, 1] + written * rates[:, 2] + output * rates[:, 3], float)


def draw_quality(log: Log, rows: NDArray[np.int64], expected: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return graded qualities around ``expected``, shape (rows, models): the share of the grader's points that hold."""
    steps = np.array([a.graded for a in APPS])[log.column("app")[rows]]
    key = log.column("key")[rows]
    points = [np.column_stack([draws.uniform(log.seed, key, f"grade/{m.name}/{k}") for m in MODELS]) < expected for k in range(steps.max())]
    counted = sum(np.where((k < steps)[:, None], p, False).astype(float) for k, p in enumerate(points))
    return np.asarray(counted / steps[:, None], float)
