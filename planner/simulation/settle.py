"""From what happened in the event phase to calls with tokens, and from calls and their prices to one row a request.

In: calls by row and lane, what each lane would have used, providers' rules on calls that were cancelled or failed, and prices.
Out: Calls for accounting; a Side. All that a call uses is decided here. Knows nothing of clocks, levers or rates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.outcomes import Calls
from planner.prices import Priced
from planner.schema import EVIDENCE, STATUSES
from planner.simulation.events.inputs import CANCELLED, OK, Happened, Log
from planner.simulation.side import Side, split
from planner.simulation.told import Told, source_of
from planner.text.prints import Prefixes
from planner.traffic.rows import Coded, Rows

__all__ = ["Lane", "calls_of", "side_of", "weakest"]

_MEASURED, _ESTIMATED, _ASSUMED = range(len(EVIDENCE))
_UNBILLED = tuple(STATUSES.index(k) for k in ("transport", "rate_limit"))
_READ, _ANSWER, _REASONING = 1, 4, 5


@dataclass(frozen=True, eq=False)
class Lane:
    """A model that ``n`` requests may be sent to, and what each would use there.

    Parameters
    ----------
    model, provider: names. served: (n,) who serves each request, the logged provider where it stays.
    tokens: int64 (n, 6). evidence: int8 (n,) of the tokens. quality: float64 (n,) q̂ of its answers.
    writes: the token bucket that prompt-cache writes are billed in, 0 where no cache is simulated; ``promised``: the provider says that
        what was written is read again, so that simulated reads are estimated, else assumed.
    billed: what is billed of a cancelled call's answer, streamed and not: what was "generated", the "full" answer or "nothing".
    """

    model: str
    provider: str
    served: Coded
    tokens: NDArray[np.int64]
    evidence: NDArray[np.int8]
    quality: NDArray[np.float64]
    writes: int = 0
    promised: bool = False
    billed: tuple[str, str] = ("full", "full")


def calls_of(
    happened: Happened, lanes: Sequence[Lane], log: Log, rows: Rows, prefixes: Prefixes | None, covered: NDArray[np.bool_]
) -> Calls:
    """Return the calls of the event phase, ``row`` being positions among its requests.

    A call that is as logged has the tokens of ``rows``. Otherwise an answer that failed at the provider or on the way there
    (transport, rate limit) is not billed, one that was refused or invalid is billed for its input, and a cancelled one as its
    provider bills: all three assumed. Where prompt caches are simulated, for the requests that are ``covered`` and lanes with
    ``writes``, the input is split as they found it.
    """
    row, lane = happened.row, happened.lane
    tokens = np.zeros((len(row), 6), np.int64)
    evidence = np.zeros(len(row), np.int8)
    logged = (lane == log.lane[row]) & (happened.drawn == log.failures[row]) & (happened.kind == log.kind[row])
    for code, use in enumerate(lanes):
        on = np.flatnonzero(lane == code)
        tokens[on] = np.where(logged[on, None], rows.tokens[row[on]], use.tokens[row[on]])
        evidence[on] = np.where(logged[on], rows.evidence[row[on]], use.evidence[row[on]])
        if use.writes and prefixes is not None:
            on = on[covered[row[on]]]
            before = tokens[on]
            tokens[on] = cached(before, prefixes, row[on], happened.warm[on], happened.written[on], use.writes)
            moved = on[(tokens[on] != before).any(axis=1)]
            evidence[moved] = np.maximum(evidence[moved], _ESTIMATED if use.promised else _ASSUMED)
    failed = (happened.kind != OK) & ~logged
    tokens[failed & np.isin(happened.kind, _UNBILLED)] = 0
    tokens[failed & (happened.kind != CANCELLED), _ANSWER:] = 0
    cut = np.flatnonzero(failed & (happened.kind == CANCELLED))
    share, streamed = generated(happened, cut), rows.streamed[row[cut]]
    for code, use in enumerate(lanes):
        for mode, rule in zip((streamed, ~streamed), use.billed, strict=True):
            on = mode & (lane[cut] == code)
            part = {"generated": share[on], "full": np.ones(int(on.sum())), "nothing": np.zeros(int(on.sum()))}[rule]
            tokens[cut[on], _ANSWER:] = np.rint(tokens[cut[on], _ANSWER:] * part[:, None]).astype(np.int64)
    evidence[failed] = _ASSUMED
    evidence[(lane == log.lane[row]) & (happened.drawn >= 0) & (happened.drawn < log.failures[row])] = _MEASURED
    names = tuple(use.model for use in lanes)
    return Calls(
        row=row,
        attempt=happened.attempt,
        purpose=happened.purpose,
        provider=_served(lanes, lane, row),
        model=Coded(lane.astype(np.int32), names),
        tier=Coded(rows.tier.codes[row], rows.tier.values),
        tokens=tokens,
        start_ms=(happened.start_us - happened.arrived_us[row]) / 1_000,
        end_ms=(happened.end_us - happened.arrived_us[row]) / 1_000,
        outcome=happened.kind,
        evidence=evidence,
    )


def _served(lanes: Sequence[Lane], lane: NDArray[np.int16], row: NDArray[np.int64]) -> Coded:
    names = tuple(dict.fromkeys(v for use in lanes for v in use.served.values))
    codes = np.zeros(len(row), np.int32)
    for code, use in enumerate(lanes):
        on = np.flatnonzero(lane == code)
        codes[on] = np.array([names.index(v) for v in use.served.values], np.int32)[use.served.codes[row[on]]]
    return Coded(codes, names)


def generated(happened: Happened, calls: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return which part of its answer each of the cancelled ``calls`` had given, linear from the first token to the end."""
    first = happened.first_us[calls]
    spent = (happened.end_us[calls] - first).astype(float)
    whole = np.maximum(happened.start_us[calls] + happened.whole_us[calls] - first, 1)
    return np.where(first < 0, 0.0, np.clip(spent / whole, 0.0, 1.0))


def cached(
    tokens: NDArray[np.int64], prefixes: Prefixes, row: NDArray[np.int64], warm: NDArray[np.int64], written: NDArray[np.int64], writes: int
) -> NDArray[np.int64]:
    """Split the input of ``tokens`` (m, 6) into what was read from a prompt cache, what was written to it, and the rest.

    Blocks count as the share of the prompt that they cover. ``writes`` is the bucket of written input.
    """
    out = tokens.copy()
    whole = tokens[:, :4].sum(axis=1)
    size = np.maximum(prefixes.size[row], 1)

    def covered(blocks: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.asarray(whole * np.minimum(blocks * prefixes.block, size) // size)

    read = covered(warm)
    new = np.where(written > 0, covered(warm + written) - read, 0)
    out[:, :4] = 0
    out[:, _READ] = read
    out[:, writes] = new
    out[:, 0] = whole - read - new
    return out


def weakest(calls: Calls, priced: Priced, n: int) -> NDArray[np.int8]:
    """Return the weakest evidence of each request's calls and their prices, (n,); ``measured`` without any."""
    worst = np.zeros(n, np.int8)
    np.maximum.at(worst, calls.row, np.maximum(calls.evidence, priced.evidence.astype(np.int8)))
    return worst


def side_of(
    calls: Calls,
    priced: Priced,
    happened: Happened,
    answers: Told,
    quality: NDArray[np.float64],
    known: NDArray[np.bool_],
    streamed: NDArray[np.bool_],
) -> Side:
    """Reduce calls to the requests of the event phase; ``known`` says which have a price as logged, ``streamed`` whose answers stream.

    ``answers`` are what each of them, and of those before them, was answered. The quality of an answer to another question is unknown.
    A request without an answer is told under the model it was sent to last.
    """
    n, source = len(happened.end), source_of(happened)
    another = (happened.source >= 0) & (answers.key[source] != answers.key[:n])
    shown = np.where(streamed & (happened.answer_us >= 0), happened.answer_us, happened.done_us)
    cost = np.where(known[calls.row], priced.cost_pusd, 0)
    return Side(
        model=Coded(answers.last[source].astype(np.int32), answers.names),
        calls=np.bincount(calls.row, minlength=n),
        tokens=summed(calls.tokens, calls.row, n),
        outcome=happened.end,
        latency_ms=(happened.done_us - happened.arrived_us) / 1_000,
        perceived_ms=(shown - happened.arrived_us) / 1_000,
        cost_pusd=summed(cost[:, None], calls.row, n)[:, 0],
        parts_pusd=summed(np.where(known[calls.row, None], split(priced), 0), calls.row, n),
        priced=known,
        evidence=np.maximum(answers.evidence[:n], answers.evidence[source]),
        quality=np.where(another, np.nan, quality),
        unmeasured=another,
    )


def summed(values: NDArray[np.int64], row: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Sum integer ``values`` (m, c) by row, exactly: (n, c).

    >>> summed(np.array([[1], [2], [4]]), np.array([0, 2, 0]), 3)[:, 0].tolist()
    [5, 0, 2]
    """
    out = np.zeros((n, values.shape[1]), np.int64)
    np.add.at(out, row, values)
    return out
