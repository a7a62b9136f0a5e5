"""Stream: answers are shown while they are written.

In: apps. Out: in the row phase that their answers are streamed: what people perceive there is the time to the first token. Cost and
tokens stay. Knows nothing of how long either takes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from planner.policies.base import Block, Intents, Settings, in_apps, where

__all__ = ["Stream"]


@dataclass(frozen=True)
class Stream(Settings):
    """Stream the answers of ``apps``: perceived latency is the time to the first token.

    A log that streamed nothing does not tell that time. Beside a timeout or a hedge, providers may bill the calls that these cancel
    otherwise than if their answers came whole (``prices.call_rules``).

    >>> Stream(("chat",)).words()
    'stream answers in chat: people wait for the first token'
    """

    apps: tuple[str, ...]

    key = "stream"
    phase = "row"
    needs = ("ttft_ms",)
    writes = ("stream",)

    def __post_init__(self) -> None:
        self.some_apps(optional=False)

    def apply(self, block: Block, intents: Intents) -> Intents:
        """Say that every request of the apps asks for a stream."""
        return replace(intents, stream=np.where(in_apps(block.rows, self.apps), 1, intents.stream).astype(np.int32))

    def words(self) -> str:
        """Say what it does, for people."""
        return f"stream answers {where(self.apps)}: people wait for the first token"
