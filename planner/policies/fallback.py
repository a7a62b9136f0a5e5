"""Fallback: the models that are asked in turn when a call has failed for good.

In: models and the kinds of failure. Out: settings that the event phase follows. Knows nothing of what the models cost or answer.
"""

from __future__ import annotations

from dataclasses import dataclass

from planner.policies.base import FAILURES, Settings, where

__all__ = ["Fallback"]


@dataclass(frozen=True)
class Fallback(Settings):
    """Ask the next of ``models`` when a call failed in one of ``kinds`` and its retries are used up.

    A request's own model is never its own fallback. Retries hold for each model anew: they multiply with fallbacks.

    >>> Fallback(("gpt-5-mini",), apps=("chat",)).words()
    'fall back to gpt-5-mini after transport, rate_limit, cancelled in chat'
    """

    models: tuple[str, ...]
    kinds: tuple[str, ...] = ("transport", "rate_limit", "cancelled")
    apps: tuple[str, ...] | None = None

    key = "fallback"

    def __post_init__(self) -> None:
        self.names("models", "a list of models")
        self.names("kinds", f"some of {', '.join(FAILURES)}", FAILURES)
        self.some_apps()

    @property
    def uses(self) -> tuple[str, ...]:
        """The models that may be asked."""
        return self.models

    def words(self) -> str:
        """Say what it does, for people."""
        return f"fall back to {', then '.join(self.models)} after {', '.join(self.kinds)} {where(self.apps)}"
