"""Timeout: how long a call may take before it is given up.

In: milliseconds. Out: a setting that the event phase follows; what comes after it is the business of retries and fallbacks.
Knows nothing of how long calls take.
"""

from __future__ import annotations

from dataclasses import dataclass

from planner.policies.base import Settings, where

__all__ = ["Timeout"]


@dataclass(frozen=True)
class Timeout(Settings):
    """Cancel a call that is not complete ``ms`` after it was sent.

    >>> Timeout(20_000).words()
    'give a call up after 20,000 ms in all apps'
    """

    ms: float
    apps: tuple[str, ...] | None = None

    key = "timeout"
    needs = ("latency_ms",)

    def __post_init__(self) -> None:
        self.number("ms", "milliseconds ≥ 1", 1)
        self.some_apps()

    def words(self) -> str:
        """Say what it does, for people."""
        return f"give a call up after {self.ms:,g} ms {where(self.apps)}"
