"""Join: two logs of the same calls → one log in which every call stands once.

In: two Traffic, of a gateway and of a tracer say, and a time window. Out: a Traffic folder: every row of the first log, joined with its
partner in the second where it has one; what only the second log knows; and the counts, which add up. A row of the second log that could
be several of the first is set aside, so that no call is summed twice. Each field keeps its source (``sources``). Two logs without a
common call are refused unless they are said to be apart, and so are two that were not drawn alike. Knows nothing of source formats.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from planner.errors import InputError, NeedsError
from planner.schema import EVIDENCE, TRAFFIC
from planner.traffic.derived import Piece
from planner.traffic.files import refuse_foreign
from planner.traffic.handle import Traffic, TrafficWriter
from planner.traffic.join_alike import header_of, refuse_other_draws, refuse_unlike
from planner.traffic.join_fields import differences, known, merged
from planner.traffic.join_match import Match, Side, match
from planner.traffic.join_order import in_order

__all__ = ["join", "sources"]

Progress: TypeAlias = Callable[[int, int], None]
Ints: TypeAlias = NDArray[np.int64]
#: Where a joined log keeps who is who and which fields are the second log's.
_KEPT = "join-1"
_ROWS = 65_536
_UNSURE = "it may be several of the first log's calls, or none: they stand without it"
_ATTEMPT = "a failed attempt at a call of the first log, counted in its attempts"
_WRITTEN = ("traffic.json", "traffic.parquet", "quarantine.parquet", "derived")
#: What is told of a row, by its code in the folder.
_KINDS = ("by id", "by model, time and tokens", "ambiguous", "only in a", "only in b")


def join(
    a: Traffic, b: Traffic, out: str | Path | None = None, *, window_s: float = 5.0, apart: bool = False, progress: Progress | None = None
) -> Traffic:
    r"""Join two logs of the same calls into one.

    Rows are partners by a shared id (also where LiteLLM wrote it into Langfuse behind the time of day), else by model, input and output
    tokens and a begin within ``window_s``, if neither could have another partner. ``meta["join"]`` has the counts: matched by id and by
    tokens, ambiguous and left over on either side, fields by source, contradictions.

    Parameters
    ----------
    a: the log that keeps the books: its cost, tokens, status and times hold.
    b: the log that knows the content: its text, prompt version, scores, users and sessions hold.
    out: folder to write; by default one under ``.planner/traffic/``.
    window_s: how far apart [s] the two logs may see the same call begin.
    apart: the logs may be of different calls, so that none need be in both.
    progress: called with rows done and in all.

    Raises
    ------
    InputError: the same log twice, a log that holds its calls twice, one that is redacted and one that is not, rows that were not sampled
        by the same draw, two logs without a common call where they are not ``apart``, or ``out`` that holds others' files.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> import planner
    >>> books = "request_id,timestamp,model,input_tokens,source_cost_usd\nc1,2026-11-01T00:00:00Z,gpt-5,9,0.5\n"
    >>> scores = "request_id,timestamp,model,input_tokens,quality\nc1,2026-11-01T00:00:01Z,gpt-5,9,1.0\n"
    >>> folder = Path(mkdtemp())
    >>> for name, text in (("books.csv", books), ("scores.csv", scores)):
    ...     _ = (folder / name).write_text(text)
    >>> a, b = (planner.read(folder / n, out=folder / n.removesuffix(".csv")) for n in ("books.csv", "scores.csv"))
    >>> joined = join(a, b, folder / "joined")
    >>> joined.frame("request_id", "source_cost_usd", "quality").values.tolist()
    [['c1', 0.5, 1.0]]
    """
    folder = Path(out) if out is not None else Path(".planner") / "traffic" / f"join-{a.hash[:8]}-{b.hash[:8]}"
    _check(a, b, folder, window_s)
    sides = Side.of(a), Side.of(b)
    found = match(*sides, window_s)
    if not (apart or (found.partner >= 0).any()):
        raise _strangers(a, b, *sides, found)
    refuse_other_draws(a, b, found.partner)
    told = _Told(found)
    with TrafficWriter(folder) as writer:
        _carry_quarantine(a, b, writer)
        _write_a(a, b, told, writer, progress)
        _write_b(a, b, told, writer, progress)
        joined = writer.close(**_meta(a, b, told, window_s))
    kept: Piece = {"kind": told.kind, "row_a": told.row_a, "row_b": told.row_b, "from_b": np.concatenate(told.from_b)}
    joined.derived(_KEPT, lambda: [kept])
    return joined


def sources(joined: Traffic) -> pd.DataFrame:
    """Return, for each request of a joined log and in its order, how it was matched and which log every column comes from.

    Columns: ``request_id``, ``matched`` (one of by id, by model, time and tokens, ambiguous, only in a, only in b), ``row_a`` and
    ``row_b`` (its place in either log, −1 none), and per column of the traffic ``a`` or ``b``; NeedsError when the log is none of join.
    """

    def missing() -> Iterator[Piece]:
        raise NeedsError(f"{joined.folder} does not say where its fields come from", fix="write it with planner.join")

    kept = joined.derived(_KEPT, missing)
    frame = joined.frame("request_id")
    frame["matched"] = np.array(_KINDS, object)[kept["kind"]]
    frame["row_a"], frame["row_b"] = kept["row_a"], kept["row_b"]
    bits = {c: (kept["from_b"] >> np.uint64(i)) & np.uint64(1) for i, c in enumerate(TRAFFIC.names)}
    names = np.array(["a", "b"], object)
    where = pd.DataFrame({c: names[bit.astype(np.int64)] for c, bit in bits.items() if c != "request_id"})
    return pd.concat([frame, where], axis=1)


@dataclass(eq=False)
class _Told:
    """What a running join knows: who is who, and which fields came from b so far."""

    found: Match
    fields: dict[str, Counter[str]] = field(default_factory=lambda: {c: Counter() for c in TRAFFIC.names})
    differ: Counter[str] = field(default_factory=Counter)
    from_b: list[NDArray[np.uint64]] = field(default_factory=list)
    first: Any = None
    last: Any = None

    @property
    def only_b(self) -> Ints:
        """The rows of b that are in a not at all."""
        return np.flatnonzero(self.found.left_b)

    @property
    def kind(self) -> NDArray[np.int8]:
        """How each written row was matched, as codes into _KINDS."""
        own = np.where(self.found.partner >= 0, np.where(self.found.by_id, 0, 1), np.where(self.found.ambiguous_a, 2, 3))
        return np.append(own, np.full(len(self.only_b), 4)).astype(np.int8)

    @property
    def row_a(self) -> Ints:
        """The place of each written row in a."""
        return np.append(np.arange(len(self.found.partner)), np.full(len(self.only_b), -1))

    @property
    def row_b(self) -> Ints:
        """The place of each written row in b."""
        return np.append(self.found.partner, self.only_b)

    def count(self, rows: pa.Table, from_b: Mapping[str, NDArray[np.bool_]]) -> None:
        """Note where the fields of written ``rows`` come from, and when they arrived."""
        bits = np.zeros(len(rows), np.uint64)
        for i, column in enumerate(TRAFFIC.names):
            bits |= from_b[column].astype(np.uint64) << np.uint64(i)
            said = known(rows, column)
            self.fields[column].update(a=int((said & ~from_b[column]).sum()), b=int((said & from_b[column]).sum()))
        self.from_b.append(bits)
        if len(rows):
            low, high = (pc.min_max(rows["timestamp"])[end].as_py() for end in ("min", "max"))
            self.first, self.last = min(self.first or low, low), max(self.last or high, high)


def _check(a: Traffic, b: Traffic, folder: Path, window_s: float) -> None:
    if not 0 <= window_s <= 3600:
        raise InputError(f"window_s={window_s}", "seconds from 0 to 3600", "two logs of one call differ by network and clocks: try 5")
    if folder.resolve() in (a.folder.resolve(), b.folder.resolve()):
        raise InputError(f"out={folder}, which is one of the logs", "a folder of its own", "choose another folder with --out")
    refuse_foreign(folder, "traffic.json", _WRITTEN)
    refuse_unlike(a, b)


def _strangers(a: Traffic, b: Traffic, one: Side, two: Side, found: Match) -> InputError:
    if found.ambiguous_a.any():
        told = f"; {found.ambiguous_a.sum():,} could be one of several or have the same id at another time (a time zone?)"
    else:
        spans = [f"{s.time.min():.16} to {s.time.max():.16}".replace("T", " ") if len(s) else "no time" for s in (one, two)]
        told = f" (a: {spans[0]}, b: {spans[1]}; ids such as {_example(one)} and {_example(two)})"
    return InputError(
        f"{len(a):,} and {len(b):,} requests, and no call that is surely in both{told}",
        "two logs of the same calls",
        "where they are of different calls, say so: planner.join(a, b, apart=True), in the shell planner join A B --apart",
    )


def _example(side: Side) -> str:
    ids = side.id.drop_null()
    return repr(ids[0].as_py()) if len(ids) else "none"


def _write_a(a: Traffic, b: Traffic, told: _Told, writer: TrafficWriter, progress: Progress | None) -> None:
    """Write every row of a, with its partner's fields where it has one."""
    start = 0
    for rows, other in _side_by_side(a, in_order(b, told.found.partner, writer.folder)):
        has = told.found.partner[start : start + len(rows)] >= 0
        table, from_b = merged(rows, other, has)
        told.differ.update(differences(rows, other, has))
        told.count(table, from_b)
        writer.accept(table)
        start += len(rows)
        if progress:
            progress(start, len(a) + len(told.only_b))


def _side_by_side(a: Traffic, partners: Iterator[pa.Table]) -> Iterator[tuple[pa.Table, pa.Table]]:
    """Yield pieces of a and, row by row, their partners, nulls where there is none."""
    other = TRAFFIC.arrow().empty_table()
    for batch in a.batches(TRAFFIC.names, _ROWS):
        while len(other) < len(batch):
            other = pa.concat_tables([other, next(partners)])
        yield pa.Table.from_batches([batch]), other.slice(0, len(batch)).combine_chunks()
        other = other.slice(len(batch))


def _write_b(a: Traffic, b: Traffic, told: _Told, writer: TrafficWriter, progress: Progress | None) -> None:
    """Write what only b knows, and set aside what could be several rows of a, or is part of one."""
    taken = a.arrow("request_id")["request_id"] if len(told.only_b) else None
    for rows in _pieces(b, told.only_b):
        again = pc.is_in(rows["request_id"], value_set=taken)
        named = pc.if_else(again, pc.binary_join_element_wise("only-in-b", rows["request_id"], "/"), rows["request_id"])
        told.count(rows, dict.fromkeys(TRAFFIC.names, np.ones(len(rows), bool)))
        writer.accept(rows.set_column(rows.column_names.index("request_id"), "request_id", named))
        if progress:
            progress(len(a) + len(told.only_b), len(a) + len(told.only_b))
    for reason, aside in ((_UNSURE, told.found.ambiguous_b), (_ATTEMPT, told.found.attempt_b)):
        _set_aside(b, np.flatnonzero(aside), reason, writer)


def _set_aside(b: Traffic, positions: Ints, reason: str, writer: TrafficWriter) -> None:
    """Quarantine rows of b, under their place in it."""
    for k, rows in enumerate(_pieces(b, positions)):
        n, lines = len(rows), positions[k * _ROWS : (k + 1) * _ROWS] + 1
        raw = [json.dumps(r, ensure_ascii=False, default=str) for r in rows.to_pylist()]
        writer.quarantine(pa.table({"file": [_name(b)] * n, "line": lines, "reason": [reason] * n, "raw": raw}))


def _pieces(log: Traffic, positions: Ints) -> Iterator[pa.Table]:
    for start in range(0, len(positions), _ROWS):
        yield log.take(positions[start : start + _ROWS], *TRAFFIC.names)


def _carry_quarantine(a: Traffic, b: Traffic, writer: TrafficWriter) -> None:
    """Take over what reading either log set aside."""
    for log in (a, b):
        frame = log.quarantine
        if len(frame):
            frame = frame.assign(file=[f"{_name(log)}/{f}" for f in frame["file"]])
            writer.quarantine(pa.Table.from_pandas(frame, preserve_index=False))


def _name(log: Traffic) -> str:
    return log.folder.resolve().name


def _meta(a: Traffic, b: Traffic, told: _Told, window_s: float) -> dict[str, Any]:
    found, pairs = told.found, int((told.found.partner >= 0).sum())
    formats = [str(log.meta.get("source_format", "traffic")) for log in (a, b)]
    codes = [EVIDENCE.index(str(log.meta.get("evidence", EVIDENCE[0]))) for log in (a, b)]
    own = {_UNSURE: int(found.ambiguous_b.sum()), _ATTEMPT: int(found.attempt_b.sum())}
    reasons = Counter({k: n for k, n in own.items() if n})
    for log in (a, b):
        reasons.update(log.meta.get("reasons", {}))
    return {
        "source_format": "join",
        "detected": f"{formats[0]} joined with {formats[1]}: {pairs:,} calls are in both",
        "assumed": list(dict.fromkeys([*a.meta.get("assumed", ()), *b.meta.get("assumed", ())])),
        "evidence": EVIDENCE[max(codes)],
        "mapping": {},
        "app_from": a.meta.get("app_from"),
        **header_of(a, b, told.fields["messages"].total()),
        "first": told.first.isoformat() if told.first else None,
        "last": told.last.isoformat() if told.last else None,
        "joined": pairs,
        "file_count": 2,
        "files": {},
        "reasons": dict(reasons.most_common(20)),
        "join": {
            **{
                k: {"log": _name(log), "format": f, "hash": log.hash, "rows": len(log)}
                for k, log, f in zip("ab", (a, b), formats, strict=True)
            },
            "window_s": window_s,
            "matched_by_id": int(found.by_id.sum()),
            "matched_by_tokens": pairs - int(found.by_id.sum()),
            "ambiguous_a": int(found.ambiguous_a.sum()),
            "ambiguous_b": int(found.ambiguous_b.sum()),
            "attempts_b": int(found.attempt_b.sum()),
            "left_over_a": int(found.left_a.sum()),
            "left_over_b": len(told.only_b),
            "contradictions": dict(told.differ),
            "fields": {c: dict(n) for c, n in told.fields.items() if sum(n.values())},
        },
    }
