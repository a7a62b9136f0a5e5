"""Hedge: a second call when the first is slow; the sooner answer counts, the other is cancelled.

In: the delay and the model of the second call. Out: settings that the event phase follows. Knows nothing of what a cancelled call
costs (a provider rule) or of how long calls take.
"""

from __future__ import annotations

from dataclasses import dataclass

from planner.policies.base import Settings, where

__all__ = ["Hedge"]


@dataclass(frozen=True)
class Hedge(Settings):
    """Send a second call when no answer is complete ``after_ms`` after the first was sent.

    Parameters
    ----------
    after_ms: the delay.
    model: of the second call; None: the same as of the first.
    apps: which; None: all.
    correlation: of the two calls' latencies, beyond what size and hour explain; None: learned from repeats of the log, and where it
        has none, shown at 0, 0.5 and 0.8.

    Examples
    --------
    >>> Hedge(after_ms=2_000, apps=("chat",)).words()
    'hedge after 2,000 ms in chat, with the same model'
    >>> Hedge(after_ms="soon")
    Traceback (most recent call last):
        ...
    planner.policies.base.LeverError: Got hedge after_ms is 'soon'; expected milliseconds ≥ 1.
    """

    after_ms: float
    model: str | None = None
    apps: tuple[str, ...] | None = None
    correlation: float | None = None

    key = "hedge"
    needs = ("latency_ms",)

    def __post_init__(self) -> None:
        self.number("after_ms", "milliseconds ≥ 1", 1)
        self.text("model", "a model, or nothing for the same", optional=True)
        self.number("correlation", "a correlation from 0 to 1, or nothing", 0, 1, optional=True)
        self.some_apps()

    @property
    def uses(self) -> tuple[str, ...]:
        """The model of the second call, if it is named."""
        return () if self.model is None else (self.model,)

    def words(self) -> str:
        """Say what it does, for people."""
        return f"hedge after {self.after_ms:,g} ms {where(self.apps)}, with {self.model or 'the same model'}"
