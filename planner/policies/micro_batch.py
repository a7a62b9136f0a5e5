"""MicroBatch: several requests of an app share one call and its instructions.

In: how many may share and how long the first waits. Out: settings that the event phase follows, and the instruction tokens
that are sent once instead of every time. What answering several questions at once does to quality is assumed, never
measured from single calls. Knows nothing of what the instructions say.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from planner.policies.base import Settings, where

__all__ = ["MicroBatch", "saved_tokens"]


@dataclass(frozen=True)
class MicroBatch(Settings):
    """Put up to ``size`` requests of one app and model into one call; the first waits at most ``wait_ms`` for the others.

    Who shares a call follows ``batch.schedule`` with this wait as the window and this size as the limit.

    >>> MicroBatch(("tags",), 8, 500).words()
    'micro-batch in tags: up to 8 requests share a call, waiting at most 500 ms'
    """

    apps: tuple[str, ...]
    size: int
    wait_ms: float

    key = "micro_batch"
    needs = ("messages",)
    writes = ("removed", "submit_ms")

    def __post_init__(self) -> None:
        self.some_apps(optional=False)
        self.number("size", "a whole number from 2 to 100", 2, 100, whole=True)
        self.number("wait_ms", "milliseconds ≥ 1", 1)

    def words(self) -> str:
        """Say what it does, for people."""
        return f"micro-batch {where(self.apps)}: up to {self.size} requests share a call, waiting at most {self.wait_ms:,g} ms"


def saved_tokens(call: ArrayLike, instruction_tokens: ArrayLike) -> NDArray[np.int64]:
    """Return the instruction tokens that each of n requests need not send, shape (n,): all but the first of a call send none.

    Parameters
    ----------
    call: int64 (n,) which call each shares, as ``batch.schedule`` numbers them; requests in order of arrival.
    instruction_tokens: int64 (n,) [tokens] that a call's requests have in common; the first one's are sent, so that the others
        save no more than those.

    Examples
    --------
    >>> saved_tokens([0, 0, 1, 0], [100, 100, 80, 90])
    array([  0, 100,   0,  90])
    """
    calls, tokens = np.asarray(call, np.int64), np.asarray(instruction_tokens, np.int64)
    _, first, member = np.unique(calls, return_index=True, return_inverse=True)
    saved = np.minimum(tokens, tokens[first][member])
    saved[first] = 0
    return saved
