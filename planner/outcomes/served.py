"""What a semantic cache would have served: for each request the earlier answer it would have got, and how far that is from its own.

In: a log with prompts and answers. Out: per threshold the (request, source) pairs by replaying the log against an unbounded cache,
and the disagreement of those pairs and of repeats of the very same question. The cache follows ``docs/events.md``: the same question
first, then the most similar that is held; filled when an answer is complete and ended well; a served request stores nothing. Failed
calls and logged cache hits are no evidence about answers and are not compared. Knows nothing of rates, bands or choices.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from planner.outcomes.questions import Questions, questions
from planner.schema import STATUSES
from planner.stats import BUCKETS, draws
from planner.text.disagreement import disagreement
from planner.text.embeddings import Embedding, embedding
from planner.text.neighbours import MOST, Neighbours
from planner.traffic import Traffic

__all__ = ["Asked", "Measure", "Pairs", "apart", "asked", "repeats", "served"]

Ints: TypeAlias = NDArray[np.int64]
Measure: TypeAlias = Callable[[Sequence[str], Sequence[str]], NDArray[np.float64]]
_COLUMNS = ("request_id", "timestamp", "app", "user", "session_id", "status", "cache_hit", "latency_ms")
#: How long an answer takes where the log does not say [ms]: assumed, and long.
_UNTIMED_MS = 30_000.0


@dataclass(frozen=True, eq=False)
class Asked:
    """``n`` requests in order of (arrival, request id), with what a cache needs and what judges it.

    Parameters
    ----------
    questions, near: what each asks, and its similar earlier questions down to the lowest threshold.
    start_us, ready_us: int64 (n,) arrival, and when its answer was complete.
    ok: bool (n,) it ended well. judged: bool (n,) and its answer is a provider's own and in the log.
    app: int64 (n,) codes into ``apps``. unit: int64 (n,) the user, else the session, else the request. bucket: int64 (n,) of the unit.
    topic: int64 (n,) bucket of the question.
    answers: positions → texts. right: position → the right answer, where labels have one.
    """

    questions: Questions
    near: Neighbours
    start_us: Ints
    ready_us: Ints
    ok: NDArray[np.bool_]
    judged: NDArray[np.bool_]
    app: Ints
    apps: tuple[str, ...]
    unit: Ints
    bucket: Ints
    topic: Ints
    answers: Callable[[Ints], list[str]] = field(repr=False)
    right: Mapping[int, str] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.start_us)


@dataclass(frozen=True, eq=False)
class Pairs:
    """``p`` requests and the earlier requests whose answers they would get; similarity is 1 where the question is the same."""

    request: Ints
    source: Ints
    similarity: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.request)

    def take(self, which: NDArray[np.bool_]) -> Pairs:
        """Return the pairs where ``which`` is true."""
        return Pairs(self.request[which], self.source[which], self.similarity[which])


def asked(
    traffic: Traffic,
    method: Embedding | None = None,
    *,
    floor: float,
    apps: Sequence[str] | None = None,
    guarded: bool = True,
    across_users: bool = True,
    most: int = MOST,
    references: Mapping[str, str] | None = None,
) -> Asked:
    """Read ``traffic`` and find every request's similar earlier questions.

    Parameters
    ----------
    method: embeds questions; ``ngrams`` without it. floor: the lowest threshold that will be asked for.
    apps, guarded, across_users: as ``outcomes.questions``. most: similar questions kept per request.
    references: request id → the right answer, from labels.

    Raises NeedsError without prompts or answers.
    """
    traffic.require("what a semantic cache would serve wrongly", "response")
    found = questions(traffic, method or embedding("ngrams"), apps=apps, guarded=guarded, across_users=across_users)
    table = traffic.arrow(*_COLUMNS).take(pa.array(found.row))
    start = table["timestamp"].cast(pa.timestamp("us")).to_numpy().astype(np.int64)
    took = np.nan_to_num(table["latency_ms"].cast(pa.float64()).to_numpy(zero_copy_only=False), nan=_UNTIMED_MS)
    ok = pc.equal(table["status"], STATUSES[0]).to_numpy(zero_copy_only=False)
    answered = traffic.arrow("response")["response"].is_valid().to_numpy(zero_copy_only=False)[found.row]
    unit = pc.coalesce(table["user"], table["session_id"], table["request_id"]).combine_chunks().dictionary_encode()
    app = table["app"].combine_chunks().dictionary_encode()
    ids = table["request_id"].to_pylist() if references else []
    return Asked(
        questions=found,
        near=found.neighbours(floor, most),
        start_us=start,
        ready_us=start + np.maximum(np.rint(took * 1_000).astype(np.int64), 1),
        ok=ok,
        judged=ok & answered & ~table["cache_hit"].to_numpy(zero_copy_only=False).astype(bool) & (found.asks >= 0),
        app=app.indices.to_numpy().astype(np.int64),
        apps=tuple(app.dictionary.to_pylist()),
        unit=unit.indices.to_numpy().astype(np.int64),
        bucket=_bucket(draws.key(unit.dictionary.to_pylist()))[unit.indices.to_numpy()],
        topic=_bucket(found.asks.astype(np.uint64)),
        answers=lambda at: traffic.arrow("response")["response"].take(pa.array(found.row[at])).to_pylist(),
        right={i: references[name] for i, name in enumerate(ids) if name in references} if references else {},
    )


def _bucket(keys: NDArray[np.uint64]) -> Ints:
    return (draws.uniform(0, keys, "bucket") * BUCKETS).astype(np.int64)


def served(log: Asked, threshold: float, ttl_s: float = 86_400.0) -> Pairs:
    """Replay ``log`` against an unbounded cache that serves at ``threshold``; return who would get whose answer."""
    lists = log.near.above(threshold)
    start, near, alike = lists.start.tolist(), lists.near.tolist(), lists.similarity.tolist()
    asks, arrive, ready, ok = (x.tolist() for x in (log.questions.asks, log.start_us, log.ready_us, log.ok))
    ttl_us = round(ttl_s * 1e6)
    filled: dict[int, tuple[int, int]] = {}  # question → when, and by which request
    under_way: list[tuple[int, int]] = []
    hits: list[tuple[int, int, float]] = []
    for i, (question, now) in enumerate(zip(asks, arrive, strict=True)):
        if question < 0:
            continue
        while under_way and under_way[0][0] <= now:
            done, who = heappop(under_way)
            filled[asks[who]] = (done, who)
        lookups = [(question, 1.0), *zip(near[start[i] : start[i + 1]], alike[start[i] : start[i + 1]], strict=True)]
        hit = next(((filled[q][1], s) for q, s in lookups if q in filled and now - filled[q][0] < ttl_us), None)
        if hit:
            hits.append((i, *hit))
        elif ok[i]:
            heappush(under_way, (ready[i], i))
    return Pairs(
        np.array([h[0] for h in hits], np.int64), np.array([h[1] for h in hits], np.int64), np.array([h[2] for h in hits], np.float32)
    )


def repeats(log: Asked) -> Pairs:
    """Return each judged request with the newest judged one before it that asked the very same question."""
    at = np.flatnonzero(log.judged)
    at = at[np.argsort(log.questions.asks[at], kind="stable")]
    again = np.flatnonzero(log.questions.asks[at][1:] == log.questions.asks[at][:-1])
    return Pairs(at[again + 1], at[again], np.ones(len(again), np.float32))


def apart(log: Asked, pairs: Pairs, measure: Measure = disagreement) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return two distances of each pair's answers, (p,) each.

    The first is from the request's own answer, NaN where one of the two is not judged. The second is by how much the source's answer
    is further from the right one than the request's own, NaN where no label has a right answer.
    """
    width = len(log)
    code, inverse = np.unique(pairs.request * width + pairs.source, return_inverse=True)
    request, source = code // width, code % width
    own, other = np.full(len(code), np.nan), np.full(len(code), np.nan)
    both = np.flatnonzero(log.judged[request] & log.judged[source])
    mine, theirs = log.answers(request[both]), log.answers(source[both])
    own[both] = measure(theirs, mine) if len(both) else 0.0
    known = [k for k, i in enumerate(request[both].tolist()) if i in log.right]
    if known:
        right = [log.right[i] for i in request[both][known].tolist()]
        other[both[known]] = measure([theirs[k] for k in known], right) - measure([mine[k] for k in known], right)
    return own[inverse], other[inverse]
