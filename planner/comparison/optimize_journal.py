"""The journal of a search: every simulated plan with its numbers, a JSON line each, on disk before the next one begins.

In: a file and what the numbers are about. Out: the numbers of plans that were simulated before, also after a kill in the middle of a
line. A search asks for the same plans in the same order again, so that it needs to remember nothing else. Knows nothing of limits.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from planner.comparison.noninferiority import unmeasured
from planner.errors import InputError
from planner.policies import Plan
from planner.simulation import World, run

__all__ = ["Journal", "Measured", "measure"]

_VERSION = 1


@dataclass(frozen=True)
class Measured:
    """What a search needs of a plan, on the period it searches; None is unknown.

    ``usd`` with its limits, which a sample alone has, and ``saving`` with its lower one are USD a month; ``quality`` with its limit is
    against the log, unknown where no label measured what a lever does to answers; ``p95_ms`` with its upper limit;
    ``more_failures`` is a share of requests; ``refused`` says why the plan cannot be.
    """

    usd: float | None = None
    saving: float | None = None
    saving_low: float | None = None
    quality: float | None = None
    quality_low: float | None = None
    p95_ms: float | None = None
    p95_high: float | None = None
    more_failures: float | None = None
    refused: str = ""
    usd_low: float | None = None
    usd_high: float | None = None


def measure(world: World, plan: Plan, logged_failures: float) -> Measured:
    """Simulate ``plan`` and keep what a search needs."""
    simulation = run(world, plan)
    month, cost, saving = simulation.per_month, simulation.cost(), simulation.saving()
    quality, slow = simulation.quality_difference(), simulation.latency()
    told = not unmeasured(world, plan)
    return Measured(
        usd=cost.value * month,
        usd_low=None if cost.low is None else cost.low * month,
        usd_high=None if cost.high is None else cost.high * month,
        saving=saving.value * month,
        saving_low=None if saving.low is None else saving.low * month,
        quality=_known(quality.value),
        quality_low=quality.low if told else None,
        p95_ms=_known(slow.value),
        p95_high=slow.high,
        more_failures=simulation.failures() - logged_failures,
    )


def _known(x: float) -> float | None:
    return x if x == x else None


class Journal:
    """Measured plans by hash; ``path`` None keeps them in memory alone.

    Raises InputError for a file that is no journal, or one about something else than ``world``.
    """

    def __init__(self, path: Path | None, world: World) -> None:
        self.path = path
        self._found: dict[str, Measured] = {}
        head = {"format": "planner.search", "version": _VERSION, **asdict(world.header(Plan()))}
        self._head: dict[str, Any] = json.loads(json.dumps({k: v for k, v in head.items() if k != "plan"}))
        if path is None:
            return
        if path.exists() and path.stat().st_size:
            self._read(path)
        else:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._append(self._head)

    def __len__(self) -> int:
        return len(self._found)

    def get(self, plan: str) -> Measured | None:
        """Return what was measured of the plan with this hash."""
        return self._found.get(plan)

    def add(self, plan: str, measured: Measured) -> None:
        """Keep what was measured; it is on disk when this returns."""
        self._found[plan] = measured
        if self.path is not None:
            self._append({"plan": plan, **asdict(measured)})

    def _append(self, line: dict[str, Any]) -> None:
        assert self.path is not None
        with self.path.open("ab") as file:
            file.write(json.dumps(line, sort_keys=True, allow_nan=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def _read(self, path: Path) -> None:
        """Read whole lines; what a kill broke off is cut away."""
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            os.truncate(path, len(whole))
        try:
            head, *lines = [json.loads(line) for line in whole.splitlines()] or [self._head]
            found = {line.pop("plan"): Measured(**line) for line in lines}
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(f"{path}: {error}", "the journal of a search", "name another file") from error
        if not isinstance(head, dict) or head.get("format") != "planner.search":
            raise InputError(f"{path}", "the journal of a search", "name another file")
        differ = [name for name, value in self._head.items() if head.get(name) != value]
        if differ:
            raise InputError(f"{path}: a journal with another {', '.join(differ)}", "one about this log, period, labels and prices", _FIX)
        if not whole:
            self._append(self._head)
        self._found = found


_FIX = "name another file, or delete it to search anew"
