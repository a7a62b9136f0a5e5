"""SemanticCache: answer a question from a cache when one that is similar enough was answered before.

In: how similar, by which embedding, how long answers are kept, how many, and in which apps. Out: settings that the event phase
follows. How often such an answer is wrong is not known here: ``planner.outcomes.semantic`` measures it and chooses the threshold.
"""

from __future__ import annotations

from dataclasses import dataclass

from planner.policies.base import Settings, where

__all__ = ["EVICTIONS", "SemanticCache"]

#: What leaves a full cache first: the least recently used entry, or the oldest.
EVICTIONS = ("lru", "fifo")


@dataclass(frozen=True)
class SemanticCache(Settings):
    """Serve the answer to the most similar question that the cache holds, if it is similar enough; the same question first.

    Questions are compared only within one app, system text, history, model and set of parameters.

    Parameters
    ----------
    threshold: least cosine similarity of the newest user turns, above 0 and at most 1.
    embedding: the method that measures it; a threshold means nothing under another one.
    guard: numbers, names and negations of both questions must be the same (``planner.text.guards``).
    across_users: whether one user may get the answer that another one was given; never within a conversation.
    ttl_s: an answer older than this is not served [s]. capacity: entries. eviction: what leaves first, ``lru`` or ``fifo``.
    hit_ms: how long a hit takes, embedding included [ms]; an assumption.
    apps: which; None: all but those whose answers may act.

    Examples
    --------
    >>> SemanticCache(0.92, apps=("faq",)).words()
    'semantic cache in faq: questions at least 0.92 similar (ngrams), 100,000 answers for 24 h, lru'
    >>> SemanticCache(92)
    Traceback (most recent call last):
        ...
    planner.policies.base.LeverError: Got semantic_cache threshold is 92; expected a cosine above 0 and at most 1.
    """

    threshold: float
    embedding: str = "ngrams"
    guard: bool = True
    across_users: bool = True
    ttl_s: float = 86_400.0
    capacity: int = 100_000
    eviction: str = "lru"
    hit_ms: float = 20.0
    apps: tuple[str, ...] | None = None

    key = "semantic_cache"
    needs = ("messages",)

    def __post_init__(self) -> None:
        self.number("threshold", "a cosine above 0 and at most 1", 1e-9, 1)
        self.text("embedding", "the name of an embedding")
        self.flag("guard")
        self.flag("across_users")
        self.number("ttl_s", "seconds, at least 1", 1)
        self.number("capacity", "a number of entries, at least 1", 1, whole=True)
        self.text("eviction", f"one of {', '.join(EVICTIONS)}", EVICTIONS)
        self.number("hit_ms", "milliseconds ≥ 0", 0)
        self.some_apps()

    def words(self) -> str:
        """Say what it does, for people."""
        how = f"questions at least {self.threshold:g} similar ({self.embedding}){'' if self.guard else ', unguarded'}"
        return f"semantic cache {where(self.apps)}: {how}, {self.capacity:,} answers for {self.ttl_s / 3600:,g} h, {self.eviction}"
