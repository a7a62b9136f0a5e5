"""Pricing a million calls: the flattened book against genai-prices called row by row.

In: a number of rows. Out: rows per second, the speed-up over genai-prices (timed on a sample in the same run) and the
largest difference between the two on that sample. Run: ``python -m benchmarks.pricing --rows 1000000 --json``.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
from genai_prices import Usage, calc_price
from numpy.typing import NDArray

from planner.prices import PriceBook
from planner.prices.catalogue import CONTEXTS
from planner.traffic.rows import Coded

MODELS = (
    ("openai", "gpt-5-mini", "standard"),
    ("openai", "gpt-5-mini", "batch"),
    ("openai", "gpt-5.4", "priority"),
    ("openai", "gpt-4o", "standard"),
    ("anthropic", "claude-haiku-4-5", "standard"),
    ("anthropic", "claude-sonnet-4-5", "batch"),
    ("google", "gemini-2.5-pro", "standard"),
    ("deepseek", "deepseek-chat", "standard"),
)
FIRST_DAY, DAYS = np.datetime64("2026-10-15", "us"), 25


def genai_usage(tokens: Sequence[int]) -> Usage:
    """Return our exclusive token buckets as genai-prices counts them: inclusively."""
    fresh, read, write_5m, write_1h, visible, reasoning = map(int, tokens)
    return Usage(
        input_tokens=fresh + read + write_5m + write_1h,
        cache_read_tokens=read,
        cache_write_tokens=write_5m + write_1h,
        cache_write_5m_tokens=write_5m,
        cache_write_1h_tokens=write_1h,
        output_tokens=visible + reasoning,
        output_reasoning_tokens=reasoning,
    )


def genai_usd(provider: str, model: str, tier: str, tokens: Sequence[int], at: datetime) -> float:
    """Return what genai-prices charges [USD]."""
    usage = genai_usage(tokens)
    found = calc_price(usage, model, provider_id=provider, genai_request_timestamp=at, price_context=CONTEXTS[tier])
    return float(found.total_price)


def measure(rows: int, sample: int = 2_000, repeats: int = 3, seed: int = 1) -> dict[str, Any]:
    """Price ``rows`` synthetic calls both ways; the slow side prices the first ``sample`` of them.

    ``speedup_vs_genai_prices`` is for coded columns, as a Traffic handle loads them; ``speedup_from_strings`` starts from
    columns of Python strings and includes coding them.
    """
    random = np.random.default_rng(seed)
    which = random.integers(0, len(MODELS), rows)
    largest = np.array([20_000, 300_000, 2_000, 2_000, 4_000, 4_000])
    tokens = (largest * random.random((rows, 6)) ** 3).astype(np.int64)
    at = FIRST_DAY + random.integers(0, DAYS * 86_400_000_000, rows).astype("timedelta64[us]")
    strings = [np.array([m[i] for m in MODELS], object)[which] for i in range(3)]
    coded = [Coded(*_factorized(column)) for column in strings]
    book = PriceBook.load()
    priced = book.price(*coded, tokens, at)
    fast_s = _best(lambda: book.price(*coded, tokens, at), repeats)
    strings_s = _best(lambda: book.price(*strings, tokens, at), repeats)
    n = min(sample, rows)
    moments = [t.replace(tzinfo=UTC) for t in at[:n].tolist()]
    keys = [MODELS[i] for i in which[:n]]
    expected = np.array([genai_usd(*keys[i], tokens[i], moments[i]) for i in range(n)])
    slow_s = _best(lambda: [genai_usd(*keys[i], tokens[i], moments[i]) for i in range(n)], repeats) / n * rows
    return {
        "rows": rows,
        "unpriced": int((priced.reason != 0).sum()),
        "rows_per_s": round(rows / fast_s),
        "rows_per_s_from_strings": round(rows / strings_s),
        "genai_prices_rows_per_s": round(rows / slow_s),
        "speedup_vs_genai_prices": round(slow_s / fast_s, 1),
        "speedup_from_strings": round(slow_s / strings_s, 1),
        "max_abs_diff_usd": float(np.abs(priced.cost_pusd[:n] / 1e12 - expected).max()),
        "sample": n,
        "price_book": book.name,
    }


def _factorized(column: NDArray[np.object_]) -> tuple[NDArray[np.int32], tuple[str, ...]]:
    codes, names = pd.factorize(column)
    return codes.astype(np.int32), tuple(names)


def _best(run: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    """Print the measurement, as JSON with ``--json``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = measure(options.rows)
    print(json.dumps(result) if options.json else "\n".join(f"{k:>26}: {v}" for k, v in result.items()))


if __name__ == "__main__":
    main()
