"""ExactCache: answer a question that was asked before, to the letter, from a cache.

In: how long answers are kept, how many, and in which apps. Out: settings that the event phase follows. Knows nothing of which
questions repeat or of what an answer costs.
"""

from __future__ import annotations

from dataclasses import dataclass

from planner.policies.base import Settings, where

__all__ = ["EVICTIONS", "ExactCache"]

#: What leaves a full cache first: the least recently used entry, or the oldest.
EVICTIONS = ("lru", "fifo")


@dataclass(frozen=True)
class ExactCache(Settings):
    """Serve the answer to the same messages with the same app, model and parameters, once it was complete and ended well.

    Whoever asks gets it: the messages are all that the model knew of the user.

    Parameters
    ----------
    ttl_s: an answer older than this is not served [s]; a hit does not prolong it.
    capacity: entries. eviction: what leaves first, ``lru`` or ``fifo``.
    coalesce: a question that is under way is waited for instead of being asked again.
    hit_ms: how long a hit takes [ms]; an assumption.
    apps: which; None: all but those whose answers may act.

    Examples
    --------
    >>> ExactCache(ttl_s=3_600, apps=("search",)).words()
    'exact cache in search: 100,000 answers for 1 h, lru'
    >>> ExactCache(eviction="random")
    Traceback (most recent call last):
        ...
    planner.policies.base.LeverError: Got exact_cache eviction is 'random'; expected one of lru, fifo.
    """

    ttl_s: float = 86_400.0
    capacity: int = 100_000
    eviction: str = "lru"
    coalesce: bool = False
    hit_ms: float = 5.0
    apps: tuple[str, ...] | None = None

    key = "exact_cache"
    needs = ("messages|cache_key",)

    def __post_init__(self) -> None:
        self.number("ttl_s", "seconds, at least 1", 1)
        self.number("capacity", "a number of entries, at least 1", 1, whole=True)
        self.text("eviction", f"one of {', '.join(EVICTIONS)}", EVICTIONS)
        self.flag("coalesce")
        self.number("hit_ms", "milliseconds ≥ 0", 0)
        self.some_apps()

    def words(self) -> str:
        """Say what it does, for people."""
        more = ", one answer for all who ask at once" * self.coalesce
        return f"exact cache {where(self.apps)}: {self.capacity:,} answers for {self.ttl_s / 3600:,g} h, {self.eviction}{more}"
