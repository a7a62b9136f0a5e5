"""Whether every reader keeps its laws on damaged records: nothing crashes, nothing is lost, what is accepted is sound.

In: records of every format as their sources document them (``reader_seeds/``), and a seed. Out: per format how many mutated records were
accepted, set aside and joined to others, what crashed and which laws broke. Run: ``python -m benchmarks.reader_mutations --mutations 100000
--json``; it ends with 1 unless nothing did. A file ``FORMAT[.what].ext`` is a log of that format, a folder ``FORMAT[.what]`` holds files
that are read together. Every file has sound records first: a log of which nothing is sound is refused by design.
"""

from __future__ import annotations

import argparse
import copy
import csv
import io
import json
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from planner.schema import STATUSES, TEXT_STATES, TOKEN_BUCKETS, TRAFFIC
from planner.traffic import Traffic, read
from planner.traffic.reader import reader_named
from planner.traffic.records import records

SEEDS = Path(__file__).with_name("reader_seeds")
#: What the records say: it may stand in no reason.
PROMPTS = ("Say hi", "Be brief")
#: A count of 400 digits is shown whole.
_REASON_CHARS = 2_000
#: Keys that tell records apart; copies of a record get other values, the same in all files of a copy.
_IDS = frozenset(
    (
        *("id", "request_id", "litellm_call_id", "spanId", "parentSpanId", "generation_id", "custom_id", "requestId", "CorrelationId"),
        *("correlationId", "correlation_id", "traceId", "trace_id", "Global Index", "global_index"),
        *("span_id", "parent_id", "context.span_id", "context.trace_id"),
    )
)
_JUNK: tuple[Any, ...] = (
    *(None, "", "x", "\x00", "\ud800", "é‮🜁", "NaN", "-1", "1e400", "true", "²", "9" * 40),
    *(True, False, 0, -1, 2**53 + 1, 2**63, -(2**70), 10**400, 1.5, -0.5, 1e308, float("nan"), float("inf"), float("-inf")),
    *([], {}, [None], [1, "x", {}], [{"a": 1}], {"a": {"b": []}}, [[[]]], "{broken", '"{\\"a\\": 1}"', '{"a":'),
)


@dataclass(frozen=True)
class Seed:
    """A sound log of one format: its name, and the files that are read together, each as (file name, records)."""

    format: str
    name: str
    files: tuple[tuple[str, tuple[Any, ...]], ...]

    def __len__(self) -> int:
        """Return the number of records, headers apart."""
        return sum(len(found) - name.endswith(".csv") for name, found in self.files)


def seeds(folder: Path = SEEDS) -> list[Seed]:
    """Return every seed, by name."""
    found = []
    for path in sorted(folder.iterdir()):
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        found.append(Seed(path.name.partition(".")[0], path.name, tuple((f.name, _loaded(f)) for f in files)))
    return found


def _loaded(path: Path) -> tuple[Any, ...]:
    """Return the records of a file as its source writes them: cells of a CSV row, or a JSON object."""
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as file:
            return tuple(csv.reader(file))
    if path.suffix == ".json":
        return (json.loads(path.read_text("utf-8")),)
    return tuple(json.loads(line) for line in path.read_text("utf-8").splitlines())


def written(seed: Seed, copies: int, chance: random.Random, folder: Path) -> int:
    """Write ``copies`` of a seed below ``folder``, the first sound, all records of the others mutated; return how many these are."""
    mutations = 0
    for name, found in seed.files:
        header = [found[0]] if name.endswith(".csv") else []
        lines = []
        for number in range(copies):
            for record in found[len(header) :]:
                own = _renamed(record, number, header)
                lines.append(_text(_mutated(own, chance) if number else own, chance if number else None))
                mutations += number > 0
        text = "".join([*(_text(h, None) for h in header), *lines])
        (folder / name.replace(".json", ".ndjson") if name.endswith(".json") else folder / name).write_text(text, "utf-8", newline="")
    return mutations


def _renamed(record: Any, number: int, header: list[list[str]]) -> Any:
    if header:
        return [f"{cell}-{number}" if name in _IDS and cell else cell for name, cell in zip(header[0], record, strict=True)]
    if isinstance(record, list):
        return [_renamed(v, number, []) for v in record]
    if not isinstance(record, dict):
        return record
    return {k: f"{v}-{number}" if k in _IDS and isinstance(v, str) and v else _renamed(v, number, []) for k, v in record.items()}


def _text(record: Any, chance: random.Random | None) -> str:
    """Return a record as a line; by ``chance`` cut off, or with a key that stands in it twice."""
    if isinstance(record, list):
        line = io.StringIO()
        csv.writer(line).writerow(record)
        return line.getvalue().encode("utf-8", "replace").decode()
    whole = json.dumps(record)
    how = chance.random() if chance else 1.0
    if chance and how < 0.05:
        whole = whole[: chance.randint(1, len(whole) - 1)]
    elif chance and how < 0.1 and isinstance(record, dict) and record:
        key = chance.choice(list(record))
        whole = f"{{{json.dumps(key)}: {json.dumps(chance.choice(_JUNK))}, {whole[1:]}"
    return whole + "\n"


def _mutated(record: Any, chance: random.Random) -> Any:
    """Return a copy with one to three things dropped, replaced, doubled, wrapped or renamed, anywhere in it."""
    record = copy.deepcopy(record)
    for _ in range(chance.randint(1, 3)):
        places = list(_places(record))
        if not places:
            break
        holder, key = chance.choice(places)
        value, how = holder[key], chance.randrange(8)
        if isinstance(record, list):  # the cells of a row
            holder[key] = chance.choice(
                [*map(_cell, _JUNK), f"{value}{chance.choice(['é', chr(0x202E), chr(34), ',', chr(10)])}", value * 2]
            )
        elif how == 0:
            del holder[key]
        elif how == 1:
            holder[key] = [value, value]
        elif how == 2:
            holder[key] = json.dumps(value)
        elif how == 3 and isinstance(holder, dict):
            holder[f"{key}{chance.choice(['_', 'é', '.0', chr(0xD800)])}"] = holder.pop(key)
        elif how == 4 and isinstance(value, int | float) and not isinstance(value, bool):
            holder[key] = chance.choice([-value, value + 1, value * 1000, value % 7, str(value)])
        else:
            holder[key] = copy.deepcopy(chance.choice(_JUNK))
    return record


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield (holder, key) of everything that a record holds, at any depth."""
    inner = list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    for key, held in inner:
        yield value, key
        yield from _places(held)


def broken(seed: Seed, folder: Path, traffic: Traffic) -> list[str]:
    """Return which laws a reading of the files below ``folder`` breaks."""
    files = [(f.name, found) for f in sorted(folder.iterdir()) if f.is_file() for found in records(f)]
    gather = reader_named(seed.format).gather or iter
    expected = sum(1 for _ in gather(iter(files)))
    meta, rows, aside = traffic.meta, traffic.frame(*TRAFFIC.names), traffic.quarantine
    buckets = rows[list(TOKEN_BUCKETS)].to_numpy()
    known = {name: rows[name].dropna() for name in ("latency_ms", "ttft_ms", "source_cost_usd", "quality", "messages", "tags")}
    laws = {
        "counts do not add up": meta["accepted"] + meta["quarantined"] + meta["joined"] == expected,
        "accepted is not what is stored": (len(rows), len(aside)) == (meta["accepted"], meta["quarantined"]),
        "request_id is not unique": rows["request_id"].is_unique,
        "a required column is missing": bool(rows[["request_id", "timestamp", "model", "app"]].notna().all(axis=None)),
        "an unknown word": bool(rows["status"].isin(STATUSES).all() and rows["text_state"].isin(TEXT_STATES).all()),
        "a negative bucket": bool((buckets >= 0).all()),
        "a negative or infinite number": all(
            bool(((known[n] >= 0) & np.isfinite(known[n])).all()) for n in ("latency_ms", "ttft_ms", "source_cost_usd")
        ),
        "a quality outside 0 to 1": bool(known["quality"].between(0, 1).all()),
        "messages or tags that are no JSON list": all(isinstance(json.loads(v), list) for n in ("messages", "tags") for v in known[n]),
        "a time outside the calendar": bool(rows["timestamp"].dt.year.between(2000, 2099).all()),
        "set aside without reason or record": bool(
            (aside["reason"].str.len().between(1, _REASON_CHARS) & (aside["raw"].str.len() > 0)).all()
        ),
        "a reason that tells what was said": not any(aside["reason"].str.contains(p, regex=False).any() for p in PROMPTS),
    }
    return [law for law, holds in laws.items() if not holds]


@dataclass
class Found:
    """What was counted of one format."""

    mutations: int = 0
    accepted: int = 0
    set_aside: int = 0
    joined: int = 0
    crashed: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def summary(self) -> dict[str, Any]:
        """Return the numbers."""
        numbers = {"mutations": self.mutations, "accepted": self.accepted, "set_aside": self.set_aside, "joined": self.joined}
        faults = {"crashed": len(self.crashed), "broken": len(self.broken), "first": [*self.crashed, *self.broken][:5]}
        return {**numbers, **faults, "seconds": round(self.seconds, 1)}


def attack(seed: Seed, copies: int, chance: random.Random, found: Found) -> None:
    """Read ``copies`` of ``seed``, all but the first of them mutated, and count."""
    with TemporaryDirectory() as where:
        folder = Path(where) / "log"
        folder.mkdir()
        found.mutations += written(seed, copies, chance, folder)
        start = time.perf_counter()
        try:
            traffic = read(folder, seed.format, out=Path(where) / "out", text=True)
            faults = broken(seed, folder, traffic)
        except Exception as error:  # what must not happen, counted
            found.crashed.append(f"{seed.name}: {type(error).__name__}: {error}")
            return
        finally:
            found.seconds += time.perf_counter() - start
        found.broken += [f"{seed.name}: {law}" for law in faults]
        found.accepted += traffic.meta["accepted"]
        found.set_aside += traffic.meta["quarantined"]
        found.joined += traffic.meta["joined"]


def measure(mutations: int, seed: int = 0, formats: list[str] | None = None, batch: int = 2_000) -> dict[str, dict[str, Any]]:
    """Return per format what ``mutations`` records of it, dealt over its seeds, led to."""
    results = {}
    every = seeds()
    for format in sorted({s.format for s in every} if not formats else set(formats)):
        found, own, chance = Found(), [s for s in every if s.format == format], random.Random(f"{seed} {format}")
        while found.mutations < mutations and not found.crashed:
            for one in own:
                attack(one, 1 + max(min(batch, mutations) // len(own) // len(one), 1), chance, found)
        results[format] = found.summary()
    return results


def main() -> None:
    """Print the measurement, as JSON with ``--json``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--mutations", type=int, default=100_000, help="mutated records per format")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--formats", nargs="*", help="these formats only")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results = measure(options.mutations, options.seed, options.formats)
    print(json.dumps(results) if options.json else "\n".join(f"{name:>18}: {numbers}" for name, numbers in results.items()))
    sys.exit(int(any(r["crashed"] or r["broken"] for r in results.values())))


if __name__ == "__main__":
    main()
