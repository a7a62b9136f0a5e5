"""Whether a decision comes back whatever a client sends, and always the one that the training side would make.

In: a bundle, or the sample's labels, from which one is made; a seed. Out: how many inputs raised, and of how many the decision is not
that of ``choose`` over ``scores``, alone or among the columns of many; what they were, the reasons given, times and memory. Run:
``python -m benchmarks.runtime_fuzz --inputs 100000 --json``; it ends with 1 unless both counts are 0.

Inputs are those of ``benchmarks.runtime_inputs``. What cannot be read must go to a reference, with that reason.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.runtime_inputs import inputs
from planner.router import REASONS, Decision, Requests, Router
from planner.router.capabilities import KEEP, UNREADABLE

#: The day of all decisions, so that none depends on the clock.
DAY = "2026-01-01"
#: Inputs whose decisions are also made in columns, together.
BATCH = 256


def expected(router: Router, messages: Any, beside: Any) -> Decision | None:
    """Return the decision as the training side makes it, of columns; None where it cannot read the request."""
    try:
        requests = Requests.one(messages, beside, router.unit)
        scores = router.scores(requests, DAY)
    except Exception:  # the training side may refuse; production may not
        return None
    codes, why = router.choose(scores)
    code, reason = int(codes[0]), int(why[0])
    if router.decide_many(requests, at=DAY) != [Decision(router.candidates[code], _gain(scores, code), REASONS[reason], router.version)]:
        raise AssertionError("decide_many is not choose over scores")
    asked = beside.get("model") if reason == KEEP and isinstance(beside, Mapping) else None
    model = asked if isinstance(asked, str) and asked else router.candidates[code]
    return Decision(model, _gain(scores, code), REASONS[reason], router.version)


def _gain(scores: Any, code: int) -> float:
    return 0.0 if code == scores.home[0] else float(scores.gains[0, code])


def agrees(router: Router, got: Any, wanted: Decision | None, beside: Any) -> bool:
    """Say whether ``got`` is a decision, and the one that is wanted; of what cannot be read, that it goes where it must."""
    if not isinstance(got, Decision) or not (type(got.model) is str and type(got.score) is float and got.version == router.version):
        return False
    if wanted is not None:
        return got == wanted
    asked = beside.get("model") if type(beside) is dict else None
    return got.score == 0 and (
        (got.reason == REASONS[UNREADABLE] and got.model in router.candidates)
        or (got.reason == REASONS[KEEP] and got.model in (router.reference, asked if type(asked) is str else None))
    )


@dataclass
class Found:
    """What was counted; times [s]."""

    raised: list[str] = field(default_factory=list)
    differ: int = 0
    differ_in_columns: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    peak_mb: list[float] = field(default_factory=list)


def measure(router: Router, n: int, seed: int = 0) -> dict[str, Any]:
    """Decide ``n`` inputs, and compare."""
    known = [*(router.support.apps or ("default",)), *dict(router.references)]
    apps = [*known * 4, "an app that nobody knows", "", "x" * 100_000]
    found, waiting = Found(), list[tuple[Any, dict[str, Any], Decision]]()
    for number, (kind, messages, beside) in enumerate(inputs(n, seed, apps), 1):
        found.kinds[kind] += 1
        start = time.perf_counter()
        try:
            got = router.decide(messages, beside, at=DAY)
        except Exception as error:  # what must not happen, counted
            found.raised.append(f"{type(error).__name__} on input {number}")
            continue
        found.seconds.append(time.perf_counter() - start)
        found.reasons[got.reason] += 1
        wanted = expected(router, messages, beside)
        found.differ += not agrees(router, got, wanted, beside)
        if wanted is not None and type(beside) is dict:
            waiting.append((messages, beside, got))
        if len(waiting) == BATCH or number == n:
            found.differ_in_columns += in_columns(router, waiting)
            waiting.clear()
        if number % max(n // 4, 1) == 0:
            found.peak_mb.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    return summary(found, n, seed)


def in_columns(router: Router, waiting: list[tuple[Any, dict[str, Any], Decision]]) -> int:
    """Decide many inputs together; return of how many the decision is another one."""
    columns: dict[str, list[Any]] = {name: [] for name in ("app", "response_format", "modalities", "text_state", "has_tools", "max_tokens")}
    for _, beside, _ in waiting:
        limit = beside.get("max_tokens")
        none = limit is None or (isinstance(limit, float) and limit != limit)
        given = {**beside, "has_tools": beside.get("has_tools") or beside.get("tools") or beside.get("functions")}
        given["max_tokens"] = beside.get("max_completion_tokens") if none else limit
        for name, column in columns.items():
            column.append(given.get(name))
    together = router.decide_many(Requests.of([m for m, _, _ in waiting], **columns, unit=router.unit), at=DAY)
    kept = REASONS[KEEP]
    return sum(a != b and (a.reason, b.reason) != (kept, kept) for a, (_, _, b) in zip(together, waiting, strict=True))


def summary(found: Found, n: int, seed: int) -> dict[str, Any]:
    """Return the numbers."""
    p50, p99 = np.percentile(found.seconds or [0.0], [50, 99]) * 1e6
    return {
        "inputs": n,
        "seed": seed,
        "raised": len(found.raised),
        "first_raised": found.raised[:5],
        "differ": found.differ,
        "differ_in_columns": found.differ_in_columns,
        "kinds": dict(found.kinds),
        "reasons": dict(found.reasons.most_common()),
        "p50_us": round(float(p50), 1),
        "p99_us": round(float(p99), 1),
        "max_ms": round(max(found.seconds, default=0.0) * 1e3, 1),
        "peak_mb_by_quarter": [round(m) for m in found.peak_mb],
    }


def sample_router() -> Router:
    """Return the router of the SYNTHETIC sample, exported and loaded."""
    import planner

    traffic, labels = planner.load_sample()
    training = planner.train(labels, traffic, book=planner.PriceBook.load())
    with TemporaryDirectory() as folder:
        return Router.load(planner.export(training.router, Path(folder) / "bundle", training=training))


def main() -> None:
    """Print the measurement, as JSON with ``--json``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bundle", type=Path, help="decide with this bundle instead of the sample's")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = measure(Router.load(options.bundle) if options.bundle else sample_router(), options.inputs, options.seed)
    print(json.dumps(result) if options.json else "\n".join(f"{k:>18}: {v}" for k, v in result.items()))
    sys.exit(int(any(result[name] for name in ("raised", "differ", "differ_in_columns"))))


if __name__ == "__main__":
    main()
