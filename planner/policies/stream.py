"""Stream: answers are shown while they are written.

In: apps. Out: a setting: there the latency that people perceive is the time to the first token. Cost and tokens stay. Knows
nothing of how long either takes.
"""

from __future__ import annotations

from dataclasses import dataclass

from planner.policies.base import Settings, where

__all__ = ["Stream"]


@dataclass(frozen=True)
class Stream(Settings):
    """Stream the answers of ``apps``: perceived latency is the time to the first token.

    >>> Stream(("chat",)).words()
    'stream answers in chat: people wait for the first token'
    """

    apps: tuple[str, ...]

    key = "stream"
    needs = ("ttft_ms",)

    def __post_init__(self) -> None:
        self.some_apps(optional=False)

    def words(self) -> str:
        """Say what it does, for people."""
        return f"stream answers {where(self.apps)}: people wait for the first token"
