"""Which rows of two logs are the same calls: by a shared id, else by model, time and token counts.

In: what either log says of its calls (Side). Out: a partner for each row, or why it has none. A pair is two rows that can be nobody
else's: where a row could belong to several, it is ambiguous and none of them is taken. Knows nothing of files or of other columns.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from planner.schema import TOKEN_BUCKETS
from planner.traffic.handle import Traffic
from planner.traffic.join_window import Windows

__all__ = ["Match", "Side", "family", "match"]

Ints: TypeAlias = NDArray[np.int64]

#: LiteLLM names a call in Langfuse by its time of day and the id of the answer: ``time-12-30-01-123456_chatcmpl-…``.
_PREFIX = r"^time-\d{2}-\d{2}-\d{2}-\d{6}_"
#: Two logs of one call agree on when it was, whatever the clocks; rows with one id that are further apart are not one call.
_SAME_ID = np.timedelta64(1, "h")
#: Longer durations are damage [ms].
_LONGEST_MS = 1e12
_DATE = re.compile(r"[-@](\d{4}-\d{2}-\d{2}|\d{8})$")


@dataclass(frozen=True, eq=False)
class Side:
    """``n`` rows of one log, by what calls are recognised.

    ``id`` is null where the log has none; ``model`` and ``requested`` are names without provider and date, ``""`` for none; ``tokens``
    (n, 2) are all of input and all of output, −1 where they were not counted: any answer has some, while a call that failed or was
    answered by the gateway's own cache may have none. ``end`` is the begin where no duration is known.
    """

    id: pa.Array
    time: NDArray[np.datetime64]
    model: NDArray[np.object_]
    requested: NDArray[np.object_]
    tokens: Ints
    end: NDArray[np.datetime64]
    failed: NDArray[np.bool_]
    attempts: Ints
    app: NDArray[np.object_]

    def __len__(self) -> int:
        return len(self.time)

    @classmethod
    def of(cls, traffic: Traffic) -> Side:
        """Load the side of a log; an id that reading made up, from file and line, is none."""
        names = ("request_id", "timestamp", "app", "model", "model_requested", "latency_ms", "status", "cache_hit", "attempts")
        table = traffic.arrow(*names, *TOKEN_BUCKETS)
        raw = table["request_id"].combine_chunks()
        stem = pc.replace_substring_regex(raw, r":\d+$", "")
        made_up = pc.and_(pc.not_equal(stem, raw), pc.is_in(stem, value_set=pa.array(list(traffic.meta.get("files", {})), pa.string())))
        ids = pc.replace_substring_regex(raw, _PREFIX, "")
        buckets = np.column_stack([table[c].to_numpy() for c in TOKEN_BUCKETS]).astype(np.int64)
        tokens = np.column_stack([buckets[:, :4].sum(axis=1), buckets[:, 4:].sum(axis=1)])
        failed, hit = np.asarray(pc.not_equal(table["status"], "ok")), np.asarray(table["cache_hit"])
        tokens[(tokens.sum(axis=1) == 0) & ~failed & ~hit] = -1
        began = table["timestamp"].cast(pa.timestamp("us")).to_numpy(zero_copy_only=False)
        took = np.minimum(table["latency_ms"].fill_null(0.0).to_numpy(), _LONGEST_MS)
        return cls(
            pc.if_else(made_up, pa.scalar(None, pa.string()), ids),
            began,
            _families(table["model"]),
            _families(table["model_requested"]),
            tokens,
            began + (took * 1000).astype("timedelta64[us]"),
            failed,
            table["attempts"].to_numpy().astype(np.int64),
            table["app"].to_numpy(zero_copy_only=False),
        )


@dataclass(frozen=True, eq=False)
class Match:
    """Who is who.

    Parameters
    ----------
    partner: int64 (n of a,) the row of b that is the same call, −1 none. by_id: bool (n of a,) the id says so, else the rest.
    ambiguous_a, ambiguous_b: bool, one per row: it may be one of several, or of one whose time contradicts its id.
    attempt_b: bool (n of b,) it is a failed attempt at a call that a counts as one, with its attempts.
    """

    partner: Ints
    by_id: NDArray[np.bool_]
    ambiguous_a: NDArray[np.bool_]
    ambiguous_b: NDArray[np.bool_]
    attempt_b: NDArray[np.bool_]

    @property
    def left_a(self) -> NDArray[np.bool_]:
        """Which rows of a are in b not at all."""
        return (self.partner < 0) & ~self.ambiguous_a

    @property
    def left_b(self) -> NDArray[np.bool_]:
        """Which rows of b are in a not at all."""
        left = ~self.ambiguous_b & ~self.attempt_b
        left[self.partner[self.partner >= 0]] = False
        return left


def family(model: str) -> str:
    """Return a model's name without provider and date, in lower case: two logs of one call rarely spell it alike.

    >>> family("openai/GPT-5-2025-08-07"), family("claude-sonnet-4-20250514"), family("gpt-4o")
    ('gpt-5', 'claude-sonnet-4', 'gpt-4o')
    """
    return _DATE.sub("", model.rsplit("/", 1)[-1].lower())


def match(a: Side, b: Side, window_s: float) -> Match:
    """Find the calls that are in both logs.

    An id that both have once decides, unless the times lie more than an hour apart. What no id decides is compared by the rest: the same
    model, input and output tokens, begun at most ``window_s`` [s] apart. Two such rows are a pair if neither could have another partner.
    Where a log lacks the token counts nothing can be told by them: such a row, and those it could be, are ambiguous. A failed row of b
    without a partner may be an attempt at a retried call of a: of the model that answered it or was asked for, of the app of the call's
    partner where it has one, begun after the call (give or take ``window_s``) and before its partner ended (the call itself, where it has
    none). A call has at most its attempts − 1, the first ones that are left.
    """
    partner, ambiguous_a, ambiguous_b = _by_id(a, b)
    by_id, span = partner >= 0, np.timedelta64(round(window_s * 1e6), "us")
    for names_a, names_b in ((a.model, b.model), (a.requested, b.model), (a.model, b.requested)):
        rows_a, rows_b = _rest(partner, ambiguous_a, ambiguous_b)
        keys = _keys(names_a[rows_a], names_b[rows_b], a.tokens[rows_a], b.tokens[rows_b])
        count_a, count_b, first = _near(keys, a.time[rows_a], b.time[rows_b], span)
        sure = np.flatnonzero(count_a == 1)
        sure = sure[count_b[first[sure]] == 1]
        partner[rows_a[sure]] = rows_b[first[sure]]
        count_a[sure] = count_b[first[sure]] = 0
        ambiguous_a[rows_a[count_a > 0]] = True
        ambiguous_b[rows_b[count_b > 0]] = True
    for bare_a, bare_b in ((True, False), (False, True)):
        rows_a, rows_b = _rest(partner, ambiguous_a, ambiguous_b)
        rows_a, rows_b = _uncounted(a, rows_a) if bare_a else rows_a, _uncounted(b, rows_b) if bare_b else rows_b
        none = np.zeros((1, 2), np.int64)
        keys = _keys(a.model[rows_a], b.model[rows_b], none.repeat(len(rows_a), 0), none.repeat(len(rows_b), 0))
        count_a, count_b, _ = _near(keys, a.time[rows_a], b.time[rows_b], span)
        ambiguous_a[rows_a[count_a > 0]] = True
        ambiguous_b[rows_b[count_b > 0]] = True
    rows_b = _rest(partner, ambiguous_a, ambiguous_b)[1]
    return Match(partner, by_id, ambiguous_a, ambiguous_b, _attempts(a, b, partner, rows_b[b.failed[rows_b]], span))


def _attempts(a: Side, b: Side, partner: Ints, failed: Ints, span: np.timedelta64) -> NDArray[np.bool_]:
    """Say which rows of b, of those at ``failed``, are attempts; calls with a partner choose first, and by the model that answered."""
    found = np.zeros(len(b), bool)
    calls = np.flatnonzero(a.attempts > 1) if len(failed) else np.zeros(0, np.int64)
    own, left, app = partner[calls], a.attempts[calls] - 1, pd.factorize(b.app)[0]
    known = own >= 0
    until = np.where(known, b.end[own], a.end[calls] + span)
    for told in (True, False):
        for names in (a.model, a.requested):
            some, free, apps = np.flatnonzero((known == told) & (left > 0)), failed[~found[failed]], (app * told)[:, None]
            keys = _keys(names[calls[some]], b.model[free], apps[own[some]], apps[free])
            during = Windows.of(keys[1], b.time[free])
            low, end = during.between(keys[0], a.time[calls[some]] - span, until[some])
            first, count = _shared(low, end, left[some])
            left[some] -= count
            found[free[during.order[_ranges(first, count)]]] = True
    return found


def _shared(low: Ints, end: Ints, most: Ints) -> tuple[Ints, Ints]:
    """Give each range [low, end) its first places that no other has, ``most`` of them at most: where they begin, and how many.

    Ranges choose in the order in which they begin, and of equals in which they end; so whatever one has left lies before the next.
    """
    first, count, reached = low.copy(), np.zeros(len(low), np.int64), 0
    for i in np.lexsort((end, low)):
        first[i] = max(int(low[i]), reached)
        count[i] = max(min(int(most[i]), int(end[i] - first[i])), 0)
        if count[i]:
            reached = int(first[i] + count[i])
    return first, count


def _ranges(first: Ints, count: Ints) -> Ints:
    """Return ``first``, ``first`` + 1, … of each range, one range after another."""
    return np.repeat(first - (np.cumsum(count) - count), count) + np.arange(count.sum())


def _by_id(a: Side, b: Side) -> tuple[Ints, NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the partners that an id tells, and the rows of both sides whose id is not to be trusted."""
    codes = pa.concat_arrays([a.id, b.id]).dictionary_encode().indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    code_a, code_b = codes[: len(a)], codes[len(a) :]
    size = int(codes.max(initial=-1)) + 1
    count_a, count_b = (np.bincount(c[c >= 0], minlength=size) for c in (code_a, code_b))
    place = np.full(size + 1, -1)
    place[code_b] = np.where(code_b >= 0, np.arange(len(b)), -1)
    place[-1] = -1
    shared, once = (np.append(x, False) for x in ((count_a > 0) & (count_b > 0), (count_a == 1) & (count_b == 1)))
    partner = np.where(once[code_a], place[code_a], -1)
    ambiguous_a, ambiguous_b = shared[code_a] & ~once[code_a], shared[code_b] & ~once[code_b]
    found = np.flatnonzero(partner >= 0)
    far = found[np.abs(a.time[found] - b.time[partner[found]]) > _SAME_ID]
    ambiguous_a[far] = ambiguous_b[partner[far]] = True
    partner[far] = -1
    return partner, ambiguous_a, ambiguous_b


def _rest(partner: Ints, ambiguous_a: NDArray[np.bool_], ambiguous_b: NDArray[np.bool_]) -> tuple[Ints, Ints]:
    """Return the rows of either side that nothing has been decided about."""
    found = Match(partner, partner >= 0, ambiguous_a, ambiguous_b, np.zeros(len(ambiguous_b), bool))
    return np.flatnonzero(found.left_a), np.flatnonzero(found.left_b)


def _uncounted(side: Side, rows: Ints) -> Ints:
    return np.asarray(rows[side.tokens[rows, 0] < 0])


def _near(
    keys: tuple[Ints, Ints], time_a: NDArray[np.datetime64], time_b: NDArray[np.datetime64], span: np.timedelta64
) -> tuple[Ints, Ints, Ints]:
    """Return how many rows of b each of a could be, how many of a each of b, and the first of b for each of a that has any."""
    sorted_b, sorted_a = Windows.of(keys[1], time_b), Windows.of(keys[0], time_a)
    low, end = sorted_b.between(keys[0], time_a - span, time_a + span)
    low_b, end_b = sorted_a.between(keys[1], time_b - span, time_b + span)
    order = sorted_b.order if len(time_b) else np.zeros(1, np.int64)
    return end - low, end_b - low_b, order[np.minimum(low, len(order) - 1)]


def _keys(names_a: NDArray[np.object_], names_b: NDArray[np.object_], rest_a: Ints, rest_b: Ints) -> tuple[Ints, Ints]:
    """Number (name, rest (n, k)) of both sides alike; a row without a name is like none of the other side."""
    name, known = pd.factorize(np.concatenate([names_a, names_b]))
    rest, _ = pd.factorize(pd.MultiIndex.from_arrays(list(np.concatenate([rest_a, rest_b]).T)))
    n, key = len(names_a), rest.astype(np.int64) * (len(known) + 1) + name
    nameless = np.concatenate([names_a, names_b]) == ""
    key[nameless] = np.where(np.arange(len(key)) < n, -1, -2)[nameless]
    return key[:n], key[n:]


def _families(column: pa.ChunkedArray) -> NDArray[np.object_]:
    encoded = column.fill_null("").combine_chunks().dictionary_encode()
    names = np.array([family(n) for n in encoded.dictionary.to_pylist()], object)
    return np.asarray(names[encoded.indices.to_numpy(zero_copy_only=False)])
