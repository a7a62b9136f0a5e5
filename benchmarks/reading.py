"""How fast a log is read, per format, beside ``orjson.loads`` alone on the same lines; and how much memory that takes at two sizes.

In: how many rows, and their container (``reading_logs``): a record a line as a rule; an array; CSV, beside ``csv.reader`` alone; Parquet,
beside ``to_pylist``. Out, per format (LiteLLM's payloads and spend logs, Langfuse's observations, OpenTelemetry's spans; about 1 KB of text
a call): ``rows_per_s`` of ``planner.read`` into a folder, everything included; ``ratio_to_orjson``: the time that ``orjson.loads`` of every
line takes over that of the reading, and ``ratio_to_orjson_cpu``, the same in CPU time of all processes, which other work on the machine
changes least; the same ``_with_text``, where prompts and answers are copied, too; ``peak_rss_mib`` of a process that does nothing but read
the log (with its text), and of one that reads ``--small-share`` of it, and ``peak_rss_helper_mib`` of the largest process that helps it.
All times are measured in turn for ``--rounds`` rounds: ratios are medians of the rounds', the rate is that of the fastest round. Run:
``python -m benchmarks.reading --json``.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import orjson
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.reading_logs import CONTAINERS, FORMATS, PEERS, written
from planner.traffic import read


def parse_s(path: Path) -> tuple[float, float]:
    """Return how long a peer alone takes on the records of ``path`` [s, s of CPU], reading them from disk not counted where they are lines.

    The peer is ``orjson.loads`` of lines and of a whole array, ``csv.reader`` of a table, and Arrow's ``to_pylist`` of Parquet.
    """
    took, begun = np.zeros(2), _now()
    if path.suffix == ".json":
        orjson.loads(path.read_bytes())
    elif path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as text:
            deque(csv.reader(text), 0)
    elif path.suffix == ".parquet":
        for batch in pq.ParquetFile(path).iter_batches(2_048):
            batch.to_pylist()
    else:
        with path.open("rb") as file:
            while lines := file.readlines(4 << 20):
                begun = _now()
                for line in lines:
                    orjson.loads(line)
                took += _now() - begun
        return float(took[0]), float(took[1])
    took = _now() - begun
    return float(took[0]), float(took[1])


def read_s(path: Path, out: Path, rows: int, text: bool) -> tuple[float, float]:
    """Return how long reading ``path`` into ``out`` takes [s, s of CPU]; RuntimeError when not all ``rows`` were accepted."""
    begun = _now()
    traffic = read(path, out=out, text=text)
    took = _now() - begun
    if len(traffic) != rows:
        raise RuntimeError(f"{path}: {len(traffic)} of {rows} rows accepted: {traffic.meta['reasons']}")
    return float(took[0]), float(took[1])


def _now() -> NDArray[np.float64]:
    """Return wall clock and CPU time [s], that of processes that have ended included."""
    return np.array([time.perf_counter(), time.process_time() + sum(os.times()[2:4])])


def peak_mib(path: Path, out: Path) -> tuple[float, float]:
    """Return the peak memory [MiB] of a process that imports planner and reads ``path``, and of the largest process that helps it.

    Linux: of the program, not of what started it.
    """
    code = (
        "import re, resource, sys; from planner.traffic import read; read(sys.argv[1], out=sys.argv[2], text=True); "
        "print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1], "
        "resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path), str(out)], check=True, capture_output=True, text=True)
    own, helper = map(float, done.stdout.split())
    return own / 1024, helper / 1024


def measure(name: str, rows: int, rounds: int = 3, small_share: float = 0.25, seed: int = 0, container: str = "lines") -> dict[str, Any]:
    """Measure one format at ``rows`` rows, and its memory also at ``small_share`` of them."""
    with TemporaryDirectory() as where:
        folder = Path(where)
        path = written(folder / f"log.{CONTAINERS[container]}", name, rows, seed, container)
        out = folder / "out"
        times = np.array([(parse_s(path), *(read_s(path, out, rows, text) for text in (False, True))) for _ in range(rounds)])
        small = written(folder / f"small.{CONTAINERS[container]}", name, max(1, round(rows * small_share)), seed, container)
        peaks = [peak_mib(p, out) for p in (small, path)]
        size = path.stat().st_size
    peer = PEERS.get(container, "orjson")
    parse, took, copied = times.min(axis=0)[:, 0]
    ratio, with_text = (np.median(times[:, 0] / times[:, i], axis=0) for i in (1, 2))
    return {
        "rows": rows,
        "bytes_a_row": round(size / rows),
        "rows_per_s": round(rows / took),
        f"{peer}_rows_per_s": round(rows / parse),
        f"ratio_to_{peer}": round(float(ratio[0]), 3),
        f"ratio_to_{peer}_cpu": round(float(ratio[1]), 3),
        "rows_per_s_with_text": round(rows / copied),
        f"ratio_to_{peer}_with_text": round(float(with_text[0]), 3),
        "peak_rss_mib": round(peaks[1][0]),
        "peak_rss_small_mib": round(peaks[0][0]),
        "peak_rss_helper_mib": round(peaks[1][1]),
        "hours_for_30m": round(30e6 / rows * took / 3600, 2),
    }


def main() -> None:
    """Print the measurements, as JSON with ``--json``."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--formats", nargs="+", choices=list(FORMATS), default=list(FORMATS))
    parser.add_argument("--container", choices=list(CONTAINERS), default="lines")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--small-share", type=float, default=0.25)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = {
        name: measure(name, options.rows, options.rounds, options.small_share, container=options.container) for name in options.formats
    }
    peer = PEERS.get(options.container, "orjson")
    least = ("rows_per_s", f"ratio_to_{peer}", f"ratio_to_{peer}_cpu", f"ratio_to_{peer}_with_text")
    worst = {key: min(f[key] for f in found.values()) for key in least} | {"peak_rss_mib": max(f["peak_rss_mib"] for f in found.values())}
    if options.json:
        print(json.dumps({**worst, "formats": found}, indent=1))
        return
    for name, numbers in {"worst": worst, **found}.items():
        print(f"{name:>16}: " + ", ".join(f"{k} {v:,}" for k, v in numbers.items()))


if __name__ == "__main__":
    main()
