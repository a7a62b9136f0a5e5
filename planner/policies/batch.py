"""Batch: requests that may wait go through a provider's cheaper, slower tier.

In: apps, the window in which requests are gathered, and the limits of a batch. Out: in the row phase the tier, and the
time at which each request's batch is sent. Knows nothing of rates or of how long a provider takes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from planner.policies.base import Block, Intents, Settings, where
from planner.policies.windows import arrivals_us, in_turn, per_app_and_model, schedule

__all__ = ["BYTES_PER_TOKEN", "TIERS", "Batch"]

TIERS = ("batch", "flex")
#: Assumed: a log keeps tokens, not bytes, and a token of English is about four.
BYTES_PER_TOKEN = 4
_US_PER_MINUTE = 60_000_000


@dataclass(frozen=True)
class Batch(Settings):
    """Send the requests of ``apps`` through a slow tier, gathered in windows per app and model.

    Parameters
    ----------
    apps: which.
    window_minutes: a batch is sent this long after its first request, or when it is full; 0 only for flex, which takes requests singly.
    tier: ``batch`` or ``flex``.
    deadline_hours: how long an answer may take from the request's arrival; later ones are counted as misses.
    max_requests, max_bytes: of one batch; the defaults suit every provider whose limits we know (``prices.call_rules``).

    Examples
    --------
    >>> Batch(("nightly",), window_minutes=60).words()
    'batch in nightly, sent every 60 minutes at the latest, answers due within 24 h'
    """

    apps: tuple[str, ...]
    window_minutes: float
    tier: str = "batch"
    deadline_hours: float = 24.0
    max_requests: int = 50_000
    max_bytes: int = 200_000_000

    key = "batch"
    phase = "row"
    writes = ("tier", "submit_ms")

    def __post_init__(self) -> None:
        self.some_apps(optional=False)
        self.text("tier", f"one of {', '.join(TIERS)}", TIERS)
        self.number("deadline_hours", "hours > 0", 1e-9)
        at_once = self.tier == "flex"
        self.number("window_minutes", "minutes ≥ 0" if at_once else "minutes > 0", 0.0 if at_once else 1e-9)
        if self.window_minutes > self.deadline_hours * 60:
            raise self.refuse("window_minutes", f"at most deadline_hours, {self.deadline_hours * 60:,g} minutes")
        for name in ("max_requests", "max_bytes"):
            self.number(name, "a whole number ≥ 1", 1, whole=True)

    def apply(self, block: Block, intents: Intents) -> Intents:
        """Set the tier of the apps' requests and when their batches are sent; models must have been chosen before."""
        mine = in_turn(block.rows, self.apps)
        rows = block.rows.take(mine)
        arrival, size = arrivals_us(rows), rows.tokens[:, :4].sum(axis=1) * BYTES_PER_TOKEN
        window = round(self.window_minutes * _US_PER_MINUTE)
        submit, _ = schedule(arrival, per_app_and_model(block.rows, intents, mine), size, window, self.max_requests, self.max_bytes)
        tiers = (*intents.tiers, *(() if self.tier in intents.tiers else (self.tier,)))
        tier, submit_ms, stream = intents.tier.copy(), intents.submit_ms.copy(), intents.stream.copy()
        tier[mine] = tiers.index(self.tier)
        submit_ms[mine] = (submit - arrival) / 1_000
        if self.tier == "batch":  # whose answers come in a file
            stream[mine] = 0
        return replace(intents, tier=tier, tiers=tiers, submit_ms=submit_ms, stream=stream)

    def misses(self, arrival_us: ArrayLike, done_us: ArrayLike) -> NDArray[np.bool_]:
        """Say which answers came after the deadline, shape (n,); times in whole microseconds.

        >>> Batch(("nightly",), 60, deadline_hours=1).misses([0, 0], [3_600_000_000, 3_600_000_001])
        array([False,  True])
        """
        waited = np.asarray(done_us, np.int64) - np.asarray(arrival_us, np.int64)
        return np.asarray(waited > round(self.deadline_hours * 60 * _US_PER_MINUTE))

    def words(self) -> str:
        """Say what it does, for people."""
        window = f", sent every {self.window_minutes:,g} minutes at the latest" if self.window_minutes else ""
        return f"{self.tier} {where(self.apps)}{window}, answers due within {self.deadline_hours:,g} h"
