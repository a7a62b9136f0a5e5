"""Retry: which failures are tried again, how often, after which pause.

In: counts by kind of failure and the shape of the pause. Out: settings that the event phase follows (``docs/events.md``).
Knows nothing of how often calls fail.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from planner.policies.base import FAILURES, Settings, is_number, where

__all__ = ["Retry"]

#: More retries of one failure than this are a mistake in the file.
_MOST = 100


@dataclass(frozen=True)
class Retry(Settings):
    """Try failed calls again, on the same model, before any fallback.

    The pause before the r-th retry is min(most_ms, base_ms · factor^(r − 1)), shortened at random by up to the share ``jitter``.

    Parameters
    ----------
    retries: how often each kind of failure is tried again: transport, rate_limit, content, validation, cancelled (timeouts).
    base_ms, factor, most_ms: the pause. jitter: in [0, 1].
    retry_after: a refusal by a rate limit says when to come back, and it is kept.
    budget: retries allowed per request sent, over all requests; None: no budget.
    deadline_ms: no retry begins later than this after the arrival; None: never too late.
    idempotency_keys: a repeated call carries the key of the first, so that tools which honour keys act once.
    apps: which; None: all.

    Examples
    --------
    >>> Retry({"transport": 2, "rate_limit": 4}, apps=("chat",)).words()
    'retry transport 2×, rate_limit 4× in chat, after 500 ms × 2 each time up to 30,000 ms'
    >>> Retry({"timeouts": 2})
    Traceback (most recent call last):
        ...
    planner.policies.base.LeverError: Got retry retries names 'timeouts'; expected some of transport, rate_limit, content, validation, \
cancelled.
    """

    retries: Mapping[str, int]
    base_ms: float = 500.0
    factor: float = 2.0
    most_ms: float = 30_000.0
    jitter: float = 0.5
    retry_after: bool = True
    budget: float | None = None
    deadline_ms: float | None = None
    idempotency_keys: bool = True
    apps: tuple[str, ...] | None = None

    key = "retry"

    def __post_init__(self) -> None:
        self._counts()
        self.number("base_ms", "milliseconds ≥ 0", 0)
        self.number("factor", "a factor ≥ 1", 1)
        self.number("most_ms", f"milliseconds ≥ base_ms, {self.base_ms:,g}", self.base_ms)
        self.number("jitter", "a share from 0 to 1", 0, 1)
        self.number("budget", "retries per request ≥ 0, or nothing", 0, optional=True)
        self.number("deadline_ms", "milliseconds ≥ 1, or nothing", 1, optional=True)
        self.flag("retry_after")
        self.flag("idempotency_keys")
        self.some_apps()

    def _counts(self) -> None:
        kinds = f"some of {', '.join(FAILURES)}"
        if not isinstance(self.retries, Mapping) or not self.retries:
            raise self.refuse("retries", f"a number for {kinds}")
        for kind, count in self.retries.items():
            if kind not in FAILURES:
                raise self.unknown("retries", kind, FAILURES)
            if not is_number(count, 0, _MOST) or count != int(count):
                raise self.refuse("retries", f"a whole number from 0 to {_MOST}", "", kind)
        object.__setattr__(self, "retries", {k: int(self.retries[k]) for k in FAILURES if k in self.retries})

    @classmethod
    def blind(cls, count: int, apps: tuple[str, ...] | None = None) -> Self:
        """Return the baseline: every failure is tried again ``count`` times, at once and whatever it was."""
        return cls(dict.fromkeys(FAILURES, count), 0.0, 1.0, 0.0, 0.0, retry_after=False, idempotency_keys=False, apps=apps)

    def words(self) -> str:
        """Say what it does, for people."""
        counts = ", ".join(f"{kind} {count}×" for kind, count in self.retries.items())
        pause = f"after {self.base_ms:,g} ms × {self.factor:g} each time up to {self.most_ms:,g} ms" if self.most_ms else "at once"
        return f"retry {counts} {where(self.apps)}, {pause}"
