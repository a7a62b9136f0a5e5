"""How fast a plan is simulated at any size: seven levers over generated logs, beside one pass over the same columns.

In: how many requests. Out: ``rows_per_s``; ``passes_over_ledger``: the time of one simulation over that of reading the log's
columns from disk and writing the ledger's; ``exponent`` of time in size, between the sizes; ``peak_rss_mib`` of the process, which
also wrote the log and fitted outcomes on it; ``frontier_ratio``: a frontier of 101 points with bands over one simulation of its router.
Run: ``python -m benchmarks.simulate --rows 1000000 --json``.

The log has Zipf users, sessions, repeats that a cache can serve, shared prefix blocks, failures and bursts. Times are medians of
the process's CPU time over rounds (one round above three million rows), after a small log that compiles the event phase. Logs are played
in parts. Fitting outcomes is not in them, nor is the scoring of texts: both happen once a log.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from planner.outcomes import fit_outcomes
from planner.policies import ExactCache, Fallback, Hedge, Plan, PromptCache, RateLimit, Retry, Route, Timeout
from planner.prices import PriceBook
from planner.router import Capability, Costs, LengthRule, Router
from planner.schema import LEDGER, TRAFFIC
from planner.simulation import World, run, simulate_in_parts, trace
from planner.simulation.parts import ROWS
from planner.traffic import Traffic, TrafficWriter

MODELS = ("gpt-5.4", "gpt-5.4-mini")
SEVEN = Plan(
    (
        ExactCache(capacity=50_000),
        PromptCache(),
        Timeout(20_000),
        Hedge(6_000),
        Retry({"transport": 2, "rate_limit": 2, "cancelled": 1}),
        Fallback((MODELS[1],)),
        RateLimit({"openai": (60_000.0, None, None)}),
    ),
    "all levers of the event phase",
)
_CHUNK = 250_000
#: Rows of a first log, which compiles the event phase; and above which one round is enough.
_WARM, _ONCE = 5_000, 3_000_000
_TEXTS = 2_000


def made(folder: Path, n: int, seed: int = 0, text: bool = False) -> Traffic:
    """Write a log of ``n`` requests over 30 days; with ``text``, of short prompts from a pool, else of keys and blocks alone."""
    with TrafficWriter(folder) as writer:
        for part, start in enumerate(range(0, n, _CHUNK)):
            count = min(_CHUNK, n - start)
            writer.accept(pa.Table.from_pandas(_rows(np.random.default_rng([seed, part]), start, count, n, text), preserve_index=False))
        return writer.close(source_format="generated")


def _rows(rng: np.random.Generator, start: int, count: int, n: int, text: bool) -> pd.DataFrame:
    at = start + np.arange(count)
    user = np.minimum(rng.zipf(1.3, count), max(n // 50, 200))
    question = np.minimum(rng.zipf(1.2, count), n)
    failed, tokens = rng.random(count) < 0.01, rng.lognormal(6.5, 1, count).astype(np.int64) + 20
    frame = {
        "request_id": [f"r{i}" for i in at],
        "timestamp": pd.Timestamp("2026-10-01", tz="UTC")
        + pd.to_timedelta(at * (30 * 86_400_000_000 // n) + rng.integers(0, 1_000, count), "us"),
        "user": [f"u{u}" for u in user],
        "session_id": [f"s{u}-{i // 40}" for u, i in zip(user, at, strict=True)],
        "app": np.array(["chat", "search", "tags", "agent"])[user % 4],
        "provider": "openai",
        "model": np.array(MODELS)[(rng.random(count) < 0.3).astype(int)],
        "input_tokens": np.where(failed, 0, tokens),
        "output_tokens": np.where(failed, 0, rng.lognormal(5, 1, count).astype(np.int64) + 1),
        "latency_ms": rng.lognormal(7.5, 0.7, count),
        "status": np.where(failed, "transport", "ok"),
        "attempts": np.where(failed, 3, 1 + (rng.random(count) < 0.02)),
    }
    if text:
        body = [f"question {q % _TEXTS} about " + "a thing " * (q % 40) for q in question]
        return pd.DataFrame(frame | {"messages": [json.dumps([{"role": "user", "content": b}]) for b in body], "text_state": "full"})
    blocks = [[int(u % 500) * 8 + j for j in range(int(b))] for u, b in zip(user, rng.integers(0, 8, count), strict=True)]
    return pd.DataFrame(frame | {"cache_key": [f"q{q}" for q in question], "prefix_blocks": blocks})


def cpu(action: Callable[[], object], rounds: int) -> float:
    """Return the median CPU time of ``action`` [s]."""
    took = []
    for _ in range(rounds):
        begun = time.process_time()
        action()
        took.append(time.process_time() - begun)
    return median(took)


def one_pass(traffic: Traffic, folder: Path) -> None:
    """Read the log's columns from disk and write the ledger's, a piece at a time."""
    columns = [c for c in TRAFFIC.names if c not in ("messages", "response")]
    with pq.ParquetWriter(folder / "ledger.parquet", LEDGER.arrow(), compression="zstd") as out:
        for batch in traffic.batches(columns, _CHUNK):
            of = {"calls": batch["attempts"], "cost_pusd": batch["input_tokens"], "evidence": batch["provider"]}
            written = [of[name] if name in of else batch[name] for name in LEDGER.names]
            types = LEDGER.arrow().types
            out.write_table(pa.table([c.cast(t) for c, t in zip(written, types, strict=True)], schema=LEDGER.arrow()))


def simulated(n: int, rounds: int, part: int) -> dict[str, float]:
    """Measure one size."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        traffic = made(folder / "log", n)
        fitted, book = fit_outcomes(traffic), PriceBook.load()
        rounds = 1 if n > _ONCE else rounds
        took = cpu(lambda: simulate_in_parts(traffic, SEVEN, outcomes=fitted, book=book, rows=part), rounds)
        whole = cpu(lambda: one_pass(traffic, folder), rounds)
    return {"rows": n, "seconds": took, "rows_per_s": n / took, "passes_over_ledger": took / whole, "peak_rss_mib": _peak()}


def frontier_ratio(n: int, rounds: int) -> float:
    """Return the time of a frontier with 101 points over that of one simulation, by prompt length, scores known."""
    able, zero = tuple(Capability(max_input_tokens=10**6) for _ in MODELS), np.zeros(2)
    rule = LengthRule(np.array([0.0, 0.1], np.float32), np.array([0.0, -0.002], np.float32))
    router = Router(MODELS, MODELS[0], rule, Costs(np.array([3.0, 1.0]), zero, zero, zero), able, tau=0.0)
    with TemporaryDirectory() as name:
        traffic = made(Path(name) / "log", n, text=True)
        world, plan = World(traffic, fit_outcomes(traffic), PriceBook.load(), PriceBook.load().date), Plan((Route(router),), "routed")
        run(world, plan), trace(world, router).table
        return cpu(lambda: trace(world, router).table, rounds) / cpu(lambda: run(world, plan).table, rounds)


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--frontier-rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--part-rows", type=int, default=ROWS, help="rows that begin in a part")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    simulated(_WARM, 1, _WARM)
    lines = [simulated(n, options.rounds, options.part_rows) for n in sorted(options.rows)]
    first, last = lines[0], lines[-1]
    grown = math.log(last["rows"] / first["rows"])
    found: dict[str, Any] = {
        **{k: last[k] for k in ("rows", "rows_per_s", "passes_over_ledger", "peak_rss_mib")},
        "exponent": math.log(last["seconds"] / first["seconds"]) / grown if grown else None,
        "frontier_ratio": frontier_ratio(options.frontier_rows, options.rounds),
        "sizes": lines,
    }
    print(json.dumps(found, indent=1) if options.json else "\n".join(f"{k}: {v}" for k, v in found.items()))


if __name__ == "__main__":
    main()
