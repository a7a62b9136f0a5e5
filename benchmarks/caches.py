"""The response cache on traces, beside libcachesim: the same hits, and how fast.

In: a folder with the Mooncake and Azure traces. Out: a line per trace, policy and capacity: our hits and libcachesim's, whether they
are equal, and how many times faster ours is than libcachesim called from Python lookup by lookup (``speed_ratio``), and than its
own replay in C of a file of the same lookups (``speed_ratio_in_c``): that one opens and reads the file, and both of its ways hash
objects, which ours is given numbered from 0. Objects are Mooncake's prefix blocks, and for Azure,
which has no keys, the pair of context and generated tokens. Capacities are shares of the distinct objects. Times are CPU times,
each the least of several runs in turn. Run: ``python -m benchmarks.caches --data DIR --json``.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from planner.simulation.events.hits import hits

SHARES = (0.01, 0.05, 0.2, 0.5, 1.0)
ROUNDS = 3
#: A lookup as libcachesim's oracleGeneral files have it; it reads one whether or not the next access is known.
_LOOKUP = np.dtype([("second", "<u4"), ("object", "<u8"), ("bytes", "<u4"), ("next", "<i8")])


@dataclass(frozen=True, eq=False)
class Trace:
    """Lookups of objects: ``keys`` (n,) dense from 0, ``times_us`` (n,)."""

    name: str
    keys: NDArray[np.int64]
    times_us: NDArray[np.int64]


def mooncake(path: Path) -> Trace:
    """Return the lookups of prefix blocks, request after request, block after block."""
    rows = pd.read_json(path, lines=True)[["timestamp", "hash_ids"]].explode("hash_ids").dropna()
    return Trace("mooncake", _dense(rows["hash_ids"]), rows["timestamp"].to_numpy(np.int64) * 1000)


def azure(path: Path) -> Trace:
    """Return the lookups of (context, generated) tokens."""
    rows = pd.read_csv(path, parse_dates=["TIMESTAMP"]).sort_values("TIMESTAMP", kind="stable")
    since = (rows["TIMESTAMP"] - rows["TIMESTAMP"].iloc[0]) // pd.Timedelta(microseconds=1)
    return Trace("azure", _dense(pd.Series(zip(rows["ContextTokens"], rows["GeneratedTokens"], strict=True))), since.to_numpy(np.int64))


def measure(trace: Trace, policy: str, capacity: int, rounds: int = ROUNDS) -> dict[str, Any]:
    """Return one line: hits of either, and their times [ns a lookup]."""
    with TemporaryDirectory() as folder:
        path = _written(trace, Path(folder))
        runs: dict[str, Callable[[], int]] = {
            "ours": lambda: int(hits(trace.keys, trace.times_us, capacity, policy == "LRU").sum()),
            "libcachesim": lambda: _driven(trace, policy, capacity),
            "libcachesim_in_c": lambda: _replayed(path, len(trace.keys), policy, capacity),
        }
        turns = [{name: _timed(run) for name, run in runs.items()} for _ in range(rounds)]
    counts = {name: {turn[name][0] for turn in turns} for name in runs}
    least = {name: min(turn[name][1] for turn in turns) / len(trace.keys) for name in runs}
    return {
        "trace": trace.name,
        "policy": policy,
        "capacity": capacity,
        "lookups": len(trace.keys),
        **{f"hits_{name}": min(count) for name, count in counts.items()},
        "counts_equal": len(set.union(*counts.values())) == 1,
        "speed_ratio": least["libcachesim"] / least["ours"],
        "speed_ratio_in_c": least["libcachesim_in_c"] / least["ours"],
        **{f"ns_{name}": ns for name, ns in least.items()},
    }


def _timed(run: Callable[[], int]) -> tuple[int, int]:
    start = time.process_time_ns()
    found = run()
    return found, time.process_time_ns() - start


def _driven(trace: Trace, policy: str, capacity: int) -> int:
    """Return the hits of libcachesim, asked once for each lookup."""
    import libcachesim

    cache, request, found = getattr(libcachesim, policy)(capacity, hashpower=_hash_power(capacity)), libcachesim.Request(), 0
    for key in trace.keys.tolist():
        request.obj_id = key
        found += int(cache.get(request))
    return found


def _replayed(path: Path, lookups: int, policy: str, capacity: int) -> int:
    """Return the hits of libcachesim's own loop over a file."""
    import libcachesim

    reader = libcachesim.TraceReader(str(path), libcachesim.TraceType.ORACLE_GENERAL_TRACE)
    misses, _ = getattr(libcachesim, policy)(capacity, hashpower=_hash_power(capacity)).process_trace(reader)
    return round((1 - misses) * lookups)


def _hash_power(capacity: int) -> int:
    """Return libcachesim's size of table that fits the capacity: its default, 2²⁴ places, would be most of its time."""
    return max(10, int(capacity).bit_length())


def _written(trace: Trace, folder: Path) -> Path:
    rows = np.zeros(len(trace.keys), _LOOKUP)
    rows["second"], rows["object"], rows["bytes"], rows["next"] = trace.times_us // 1_000_000, trace.keys, 1, -1
    path = folder / f"{trace.name}.oracleGeneral"
    rows.tofile(path)
    return path


def _dense(objects: pd.Series[Any]) -> NDArray[np.int64]:
    return pd.factorize(objects)[0].astype(np.int64)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(argv)
    traces = (mooncake(args.data / "mooncake_conversation.jsonl"), azure(args.data / "azure_llm_inference_conv_2023.csv"))
    hits(np.zeros(1, np.int64), np.zeros(1, np.int64), 1)  # compiled before anything is timed
    lines = []
    for trace in traces:
        objects = len(np.unique(trace.keys))
        for policy in ("LRU", "FIFO"):
            lines += [measure(trace, policy, max(1, round(share * objects))) for share in SHARES]
    print(json.dumps(lines, indent=1) if args.json else pd.DataFrame(lines).round(2).to_string())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
