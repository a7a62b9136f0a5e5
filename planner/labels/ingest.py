"""Bring answers in: from the journal of runs and from the result files of batches, every answer asked for as one row.

In: work, result files in any order. Out: Answers, and in their meta what the files held besides: lines of strangers, repetitions, lines
that are none. Nothing that was asked is missing from the rows; what did not come says so. Knows nothing of grading.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from planner.errors import InputError
from planner.labels.answers import Answers
from planner.labels.journal import Paid, lines
from planner.labels.mirrored import mirror_files, mirrored_work
from planner.labels.replies import answer_of, cost_pusd, error_of
from planner.labels.work import JOURNAL, Work
from planner.prices import PriceBook
from planner.schema import LABEL_ITEMS, TOKEN_BUCKETS
from planner.stats import weakest
from planner.traffic.values import Rejected, dig
from planner.units import PUSD_PER_USD

__all__ = ["ingest_labels"]

_LISTED = 1_000
_STRANGE, _NONE, _AGAIN = "an id that this work never asked", "not a line of a journal or of batch results", "a repetition"


@dataclass(eq=False)
class _Heap:
    """What is found, ask by ask."""

    asks: Mapping[str, Mapping[Any, Any]]
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    paid: Paid = field(default_factory=Paid)
    seen: set[tuple[str, str]] = field(default_factory=set)
    aside: list[dict[str, Any]] = field(default_factory=list)

    def put(self, row: dict[str, Any], file: Path, number: int) -> None:
        """Keep the better of two rows of one ask: an answer before a failure, then the later; set a stranger aside."""
        ask = row.pop("ask_id")
        if ask not in self.asks:
            return self.refuse(file, number, _STRANGE)
        if self.rows.get(ask, {}).get("status") != "ok":
            self.rows[ask] = row
        if row["source"] != "run" and (ask, row["source"]) in self.seen:
            self.refuse(file, number, _AGAIN)
        self.seen.add((ask, row["source"]))
        return None

    def refuse(self, file: Path, number: int, reason: str) -> None:
        """Note a line that is no row of its own."""
        self.aside.append({"file": file.name, "line": number, "reason": reason})


def ingest_labels(work: Work | str | Path, results: Sequence[str | Path] = (), *, book: PriceBook | None = None) -> Answers:
    """Return the answers to everything that ``work`` asked.

    Parameters
    ----------
    work: a work folder; the journal of its runs is read where there is one. Or ``state/mirror`` of an exported folder, or a file in it:
        what production asked in the background, beside the answers that users got.
    results: result and error files of OpenAI or Anthropic batches, or folders of such ``.jsonl`` files, in any order.
    book: the prices by which tokens become ``cost_usd`` (standard rates) and ``paid_usd`` (batch rates in a batch).

    An ask with several results keeps an answer before a failure, and of equals the first answer or the last failure. What never
    came is a row with status ``missing``, what a batch did not serve in time ``expired``. ``meta["results"]`` counts the lines that
    were set aside by reason and lists the first of them. Raises InputError when there is no result at all, or none in a file.
    """
    if not isinstance(work, Work):
        own = mirror_files(work)
        work, results = (mirrored_work(own), [*own, *results]) if own else (Work.open(work), results)
    book = book or PriceBook.load()
    asks = {str(a["ask_id"]): a for a in work.asks.to_dict("records")}
    heap = _Heap(asks)
    files = _found(work, results)
    for file in files:
        _read(heap, file)
    rows = [_priced(heap.rows.get(ask, _missing(ask, heap)), asked, book, work, heap.paid) for ask, asked in asks.items()]
    table = pd.concat([pd.DataFrame(rows), work.logged], ignore_index=True) if rows else work.logged
    counts = Counter(line["reason"] for line in heap.aside)
    kept = {k: v for k, v in work.meta.items() if k not in ("format", "version", "items", "asks")}
    held = {"files": [f.name for f in files], "aside": dict(counts), "lines": heap.aside[:_LISTED]}
    return Answers.of(work.items[list(LABEL_ITEMS.names)], table, **kept, results=held)


def _found(work: Work, results: Sequence[str | Path]) -> list[Path]:
    journal = [work.folder / JOURNAL] if work.folder and (work.folder / JOURNAL).exists() else []
    given = [f for r in map(Path, results) for f in (sorted(r.glob("*.jsonl")) if r.is_dir() else [r])]
    if absent := [f for f in given if not f.is_file()]:
        raise InputError(f"{absent[0]}: no file there", "the results of a batch", "check the path")
    if not journal and not given and len(work.asks):
        raise InputError(
            "no journal of a run in this work, and no result files",
            "results",
            "run: planner labels run WORK --base-url URL, or name the files",
        )
    return list(dict.fromkeys([*journal, *given]))


def _read(heap: _Heap, file: Path) -> None:
    """Read one file; InputError when no line of it is a result."""
    before, count = len(heap.aside), 0
    for number, _, value in lines(file):
        _line(heap, file, number, value)
        count += 1
    if count and sum(line["reason"] == _NONE for line in heap.aside[before:]) == count:
        raise InputError(
            f"{file}: none of {count:,} lines is a result", "the result or error file of a batch, as downloaded", "check the path"
        )


def _line(heap: _Heap, file: Path, number: int, value: dict[str, Any] | None) -> None:
    line = value or {}
    match line:
        case {"event": "start", "ask": str()}:
            heap.paid.add(line)
        case {"event": "end", "ask": str()}:
            heap.paid.add(line)
            heap.put(_from_journal(line), file, number)
        case {"custom_id": str(), "result": dict()}:
            heap.put(_from_anthropic(line), file, number)
        case {"custom_id": str(), "response": _} | {"custom_id": str(), "error": _}:
            heap.put(_from_openai(line), file, number)
        case _:
            heap.refuse(file, number, _NONE)


def _from_journal(line: Mapping[str, Any]) -> dict[str, Any]:
    row = {"ask_id": line["ask"], "source": "run", "status": line["status"], "error_class": line.get("error_class")}
    row |= {"latency_ms": line.get("latency_ms"), "evidence": line.get("evidence", "assumed")}
    return row | _answered(line.get("body")) if line["status"] in ("ok", "content") and line.get("http") == 200 else row


def _from_openai(line: Mapping[str, Any]) -> dict[str, Any]:
    """Read a line of an output or error file: a response with its HTTP status, or an error without one."""
    row = {"ask_id": line["custom_id"], "source": "openai"}
    code, http = dig(line.get("error"), "code"), dig(line.get("response"), "status_code")
    if code in ("batch_expired", "batch_cancelled"):
        return row | {"status": "expired" if code == "batch_expired" else "cancelled", "error_class": code}
    if http == 200:
        return row | _answered(dig(line["response"], "body"))
    kind, name = error_of(dig(line.get("response"), "body") or line, http)
    return row | {"status": kind, "error_class": name}


def _from_anthropic(line: Mapping[str, Any]) -> dict[str, Any]:
    row, result = {"ask_id": line["custom_id"], "source": "anthropic"}, line["result"]
    kind = result.get("type")
    if kind == "succeeded":
        return row | _answered(result.get("message"))
    if kind in ("expired", "canceled"):
        return row | {"status": "expired" if kind == "expired" else "cancelled", "error_class": kind}
    failure, name = error_of(result, None)
    return row | {"status": failure, "error_class": name}


def _answered(body: Any) -> dict[str, Any]:
    try:
        return answer_of(body)
    except Rejected as error:
        return {"status": "transport", "error_class": f"unreadable answer: {error}"}


def _missing(ask: str, heap: _Heap) -> dict[str, Any]:
    broken = ask in heap.paid.pusd
    return {"source": "run", "status": "missing", "error_class": "broken off before the answer came" if broken else None}


def _priced(row: dict[str, Any], ask: Mapping[Any, Any], book: PriceBook, work: Work, runs: Paid) -> dict[str, Any]:
    """Add what the answer costs in traffic and what having it cost: all calls of runs, and the batch that brought it."""
    at, name = dt.date.fromisoformat(work.meta["at"]), str(ask["ask_id"])
    standard, batch = (cost_pusd(book, ask["provider"], ask["model"], tier, row, at) for tier in ("standard", "batch"))
    paid = [batch] if batch and row["source"] != "run" else []
    paid += [(runs.pusd[name], runs.evidence(name))] if name in runs.pusd else []
    evidence = [row["evidence"]] if "evidence" in row else []
    return {
        "request_id": ask["request_id"],
        "model": ask["model"],
        **row,
        **{n: row.get(n) for n in TOKEN_BUCKETS},
        "cost_usd": None if standard is None else standard[0] / PUSD_PER_USD,
        "paid_usd": sum(p for p, _ in paid) / PUSD_PER_USD if paid else None,
        "evidence": weakest(*evidence, *(e for _, e in paid)) if evidence or paid else "assumed",
    }
