"""What the event phase is given and what it gives back: plain arrays, times in whole microseconds.

In: requests in order of arrival, the lanes each may be sent along, and the settings of every lever whose state spans
requests. Out: the calls that were made, and how each request ended. ``docs/events.md`` states the rules that join the two;
the kernel and the slow reference of the tests both follow that page. Knows nothing of models, apps, prices or evidence.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.outcomes.failures import HISTORIES
from planner.outcomes.tails import SCORES
from planner.schema import STATUSES

__all__ = [
    "CANCELLED",
    "HISTORIES",
    "OK",
    "SCORES",
    "Happened",
    "Lanes",
    "Limits",
    "Log",
    "Names",
    "PromptCacheRules",
    "Requests",
    "ResponseCache",
    "Retries",
    "World",
]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

OK, CANCELLED = STATUSES.index("ok"), STATUSES.index("cancelled")


@dataclass(frozen=True, eq=False)
class Requests:
    """``n`` requests, sorted by (arrival_us, request id); a position is a request's name here.

    Parameters
    ----------
    arrival_us: int64 (n,) logged arrival.
    key: uint64 (n,) of the request's draws.
    follows, think_us: int64 (n,) the position of the session's turn before it (−1: none) and the pause after that one's answer.
    submit_us: int64 (n,) not sent to a provider before this time (a batch window); 0: at once.
    chain: int16 (n, F) lanes in order: the first, then fallbacks; −1 ends the chain; the first is never −1.
    escalate: int16 (n,) lane that answers when the first answer is not accepted, −1: none.
    accepted: bool (n,) whether a validator accepts the first lane's answer.
    verify_us: int64 (n,) how long the validator takes; 0 where there is none.
    hedge: int16 (n,) lane of a second call, −1: none. hedge_after_us: int64 (n,).
    timeout_us: int64 (n,) a call that runs longer is cancelled; 0: never.
    """

    arrival_us: Ints
    key: NDArray[np.uint64]
    follows: Ints
    think_us: Ints
    submit_us: Ints
    chain: NDArray[np.int16]
    escalate: NDArray[np.int16]
    accepted: NDArray[np.bool_]
    verify_us: Ints
    hedge: NDArray[np.int16]
    hedge_after_us: Ints
    timeout_us: Ints

    def __len__(self) -> int:
        return len(self.arrival_us)


@dataclass(frozen=True, eq=False)
class Lanes:
    """What ``L`` lanes would do with each request.

    Parameters
    ----------
    first_us, whole_us: int64 (n, L) time to the first token and to the end at a residual of 1.
    input_tokens, output_tokens: int64 (n, L), for limits.
    cell: int32 (n,) row of ``failure``.
    failure: float64 (cells, L, HISTORIES, 5) cumulative probabilities of the kinds 1 … 5 given the history on this lane.
    failed_us: int64 (L, 6) how long a failure of each kind takes.
    residual: float64 (L, len(SCORES)) factor on both times at each normal score, non-decreasing.
    rho: correlation of the normal scores of one request's calls.
    stream: uint64 (L, A, 3, 2) constants of the draws (failure, radius, angle) of the first A calls on a lane.
    """

    first_us: Ints
    whole_us: Ints
    input_tokens: Ints
    output_tokens: Ints
    cell: NDArray[np.int32]
    failure: Floats
    failed_us: Ints
    residual: Floats
    rho: float
    stream: NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class Log:
    """What was observed, so that it stays: the first calls of each request on its logged lane.

    Parameters
    ----------
    lane: int16 (n,) the logged lane, −1: none of the lanes.
    failures: int64 (n,) calls that failed before the last one. failure_kind: int8 (n,) their kind.
    kind: int8 (n,) how the last call ended. first_us, whole_us: int64 (n,) its times.
    score: float64 (n,) normal score of its residual.
    """

    lane: NDArray[np.int16]
    failures: Ints
    failure_kind: NDArray[np.int8]
    kind: NDArray[np.int8]
    first_us: Ints
    whole_us: Ints
    score: Floats


@dataclass(frozen=True, eq=False)
class Retries:
    """When a failed call is tried again: ``P`` policies, each request under one of them; kinds are positions in STATUSES.

    Parameters
    ----------
    policy: int16 (n,) which of the P policies a request is under.
    most: int64 (P, 6) retries on one lane after failures of each kind. fallback: bool (P, 6) whether the next lane is tried after that.
    base_us, most_us: int64 (P,), factor: float64 (P,): the pause before the r-th retry is min(most_us, base_us · factor^(r − 1)).
    jitter: float64 (P,) the pause is shortened by up to this part, at random.
    stream: uint64 (A, 2) constants of the jitter's draws.
    retry_after: bool (P,) a refusal by a limit says when to come back, and it is kept.
    budget: float64 (P,) retries allowed per request sent; inf: no budget. budget_most: float64 (P,) what may be saved up.
    deadline_us: int64 (P,) no call begins later than this after the arrival; 0: never too late.
    """

    policy: NDArray[np.int16]
    most: Ints
    fallback: NDArray[np.bool_]
    base_us: Ints
    most_us: Ints
    factor: Floats
    jitter: Floats
    stream: NDArray[np.uint64]
    retry_after: NDArray[np.bool_]
    budget: Floats
    budget_most: Floats
    deadline_us: Ints


@dataclass(frozen=True, eq=False)
class ResponseCache:
    """A cache of answers.

    Parameters
    ----------
    key: int64 (n,) equal keys are the same question, dense from 0; −1: neither looked up nor stored.
    near: int64 (p,) keys of near questions, best first; near_start: int64 (n + 1,) those of request i are near[start[i]:start[i + 1]].
    capacity: entries, 0: no cache at all. lru: the least recently used leaves first, else the oldest.
    ttl_us: int64 (n,) the entry that a request fills is not served when it is as old as this. hit_us: how long a hit takes.
    coalesce: a question that is under way is waited for, else it is asked again.
    """

    key: Ints
    near: Ints
    near_start: Ints
    ttl_us: Ints
    capacity: int = 0
    lru: bool = True
    hit_us: int = 0
    coalesce: bool = False


@dataclass(frozen=True, eq=False)
class PromptCacheRules:
    """Providers' prompt caches by leading blocks.

    Parameters
    ----------
    block: int64 (b,) chained block keys, dense from 0; block_start: int64 (n + 1,).
    pool: int16 (L,) which cache a lane reads and writes, −1: none. ttl_us: int64 (L,) after the last use.
    least: int64 (L,) tokens: a shorter match or entry does not count.
    marked: int64 (n,) blocks that a request may write. block_tokens: float64 (n,) tokens that one of its blocks stands for.
    """

    block: Ints
    block_start: Ints
    pool: NDArray[np.int16]
    ttl_us: Ints
    least: Ints
    marked: Ints
    block_tokens: Floats


@dataclass(frozen=True, eq=False)
class Limits:
    """Token buckets of providers' limits; they start full and refill evenly.

    Parameters
    ----------
    quota: int16 (L,) whose limit a lane draws on, −1: none.
    per_minute: float64 (Q, 3) requests, input tokens and output tokens a minute; inf: no limit. The bucket holds one minute's worth.
    """

    quota: NDArray[np.int16]
    per_minute: Floats


@dataclass(frozen=True, eq=False)
class World:
    """All that the event phase is given."""

    requests: Requests
    lanes: Lanes
    log: Log
    retries: Retries
    responses: ResponseCache
    prompts: PromptCacheRules
    limits: Limits


@dataclass(frozen=True, eq=False)
class Names:
    """What the numbers of one part's World stand for, so that the next part can find them again.

    Parameters
    ----------
    row: int64 (n,) of each request, different from all others of the log. lane, pool: of each lane and prompt cache.
    key, block: uint64 (K,) and (B,), ascending, what the dense keys of answers and blocks of prompts stand for.
    """

    row: Ints
    lane: tuple[str, ...]
    pool: tuple[str, ...]
    key: NDArray[np.uint64]
    block: NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class Happened:
    """What happened: ``m`` calls in the order in which they began, and the end of each of ``n`` requests.

    Parameters
    ----------
    row, lane, attempt, purpose: (m,) whose call, along which lane, its number among the request's calls, a code of PURPOSES.
    start_us, end_us: int64 (m,). first_us: int64 (m,) time of its first token, −1: it gave none.
    whole_us: int64 (m,) how long it would have taken, uncancelled. kind: int8 (m,).
    drawn: int32 (m,) how many earlier calls of the request on this lane the limits let through; −1: this one they did not.
    warm, written: int64 (m,) leading blocks read from, and written to, a prompt cache.
    arrived_us, done_us, answer_us: int64 (n,) arrival as simulated, end, first token of the answer (−1: none).
    end: int8 (n,) how the request ended. answer: int64 (n,) the call whose answer the user got, −1: none.
    source: int64 (n,) the request whose answer was served from the cache or waited for, −1: none.
    """

    row: Ints
    lane: NDArray[np.int16]
    attempt: NDArray[np.int32]
    purpose: NDArray[np.int8]
    start_us: Ints
    end_us: Ints
    first_us: Ints
    whole_us: Ints
    kind: NDArray[np.int8]
    drawn: NDArray[np.int32]
    warm: Ints
    written: Ints
    arrived_us: Ints
    done_us: Ints
    answer_us: Ints
    end: NDArray[np.int8]
    answer: Ints
    source: Ints
