"""A model as judge, through the user's own endpoint: both orders asked, every call journalled, never beyond the budget.

In: the judge's name, an endpoint, a budget, a journal. Out: a Grader. Stops and goes on like a run of labels, by the same code; what was
not asked stays ungraded. Knows nothing of what is judged.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from planner.errors import InputError, NeedsError
from planner.labels import judging
from planner.labels.bodies import LIMIT_FIELDS
from planner.labels.budget import Budget
from planner.labels.client import endpoint
from planner.labels.grading import TIE, Case, Grade, Grader, digest
from planner.labels.journal import past
from planner.labels.quotes import OVERHEAD_TOKENS, at_most_pusd
from planner.labels.replies import answer_of
from planner.labels.run import Ask, ask_all
from planner.prices import PriceBook
from planner.units import pusd_to_usd, usd_to_pusd

__all__ = ["judge"]

_LOG = logging.getLogger(__name__)
_Read = Callable[[str], "float | None"]


def judge(
    model: str,
    *,
    against: str | None = None,
    criteria: str = "",
    base_url: str | None = None,
    budget_usd: float | None = None,
    journal: str | Path | None = None,
    api_key: str | None = None,
    called: str | None = None,
    concurrency: int = 8,
    limit_tokens: int = 4_096,
    limit_field: str = LIMIT_FIELDS[0],
    params: Mapping[str, Any] | None = None,
    again: int = 0,
    book: PriceBook | None = None,
    timeout_s: float = 120.0,
    retries: int = 5,
    wait_s: float = 1.0,
    progress: Callable[[int, int], None] | None = None,
) -> Grader:
    """Grade by asking ``model``.

    Parameters
    ----------
    against: a model, or ``"log"``: each answer is compared with its answer, in both orders. A win in both is 1, a loss in both 0,
        anything else a tie, 0.5; ``validators`` keep both. Without it each answer gets a score from 0 to 1 by itself, beside the right
        answer where there is one.
    criteria: what makes an answer good, in the user's words; the default is ``judging.CRITERIA``.
    base_url: of an endpoint with OpenAI's ``/chat/completions``. called: what it calls the model, where that differs.
    budget_usd: [USD] for all calls in this journal; the most that a call may cost is set aside before it is made.
    journal: the file to which every call and reply is appended; what stands there is not asked again.
    limit_tokens: the most that a reply may have, reasoning included. params: more of the body, such as ``{"temperature": 0}``.
    again: a number other than 0 asks all anew: a second grading, which shows the judge's own noise.

    Answers equal to what they are compared with are ties without a call. A call that failed, a reply without a verdict and what the
    budget did not reach are reasons, not grades. Raises InputError for what is not given, PriceError for a judge without a price.

    >>> judge("gpt-5-mini", against="log", base_url="http://localhost:4000/v1", budget_usd=5.0, journal="judge.jsonl").name
    'judge:gpt-5-mini@order-swap v1'
    """
    for name, value in (("base_url", base_url), ("budget_usd", budget_usd), ("journal", journal)):
        if value is None:
            raise InputError(
                f"judge {model!r} without {name}", "where to ask, for how much at most, and where to keep it", f"pass {name}=…"
            )
    if not 0 < float(budget_usd or 0) < float("inf") or concurrency < 1 or limit_tokens < 1 or retries < 0:
        raise InputError(
            f"budget_usd {budget_usd}, concurrency {concurrency}, limit_tokens {limit_tokens}, retries {retries}",
            "a budget, calls at a time and an output limit above 0, retries from 0 on",
        )
    book = book or PriceBook.load()
    provider, _ = book.resolve(model)
    body = {"model": called or model, limit_field: limit_tokens, **(params or {})}
    limit = usd_to_pusd(float(budget_usd or 0))
    where = endpoint(str(base_url), api_key, timeout_s)

    def ask(asks: Sequence[Ask], bodies: Mapping[str, Any], spent_pusd: int) -> str:
        """Ask what is not in the journal yet."""
        return ask_all(
            Path(str(journal)), asks, lambda a: bodies[str(a["ask_id"])], where, Budget(limit, spent_pusd), book=book, at=book.date,
            concurrency=concurrency, retries=retries, wait_s=wait_s, progress=progress,
        )  # fmt: skip

    bench = _Bench(Path(str(journal)), book, provider, model, body, limit_tokens, again, ask)
    verdicts = (lambda cases: _compared(bench, cases, criteria)) if against else (lambda cases: _scored(bench, cases, criteria))
    kind = "order-swap" if against else "rubric"
    told = f",criteria={digest(criteria)}" if criteria.strip() else ""
    return Grader(f"judge:{model}@{kind}{told} {judging.VERSION}", verdicts, needs_reference=bool(against), against=against)


@dataclass(frozen=True)
class _Bench:
    """Where a judge's replies come from: the journal, and for what is not there yet, ``ask``."""

    journal: Path
    book: PriceBook
    provider: str
    model: str
    body: Mapping[str, Any]
    limit_tokens: int
    again: int
    ask: Callable[[Sequence[Ask], Mapping[str, Any], int], str]

    def replies(self, asked: Sequence[list[dict[str, str]]], read: _Read) -> list[Grade]:
        """Return what the judge said to each of ``asked`` as a grade from 0 to 1; equal questions are asked once."""
        bodies = [{**self.body, "messages": m} for m in asked]
        names = [digest(json.dumps([self.again, b], sort_keys=True), 16) for b in bodies]
        by_name = dict(zip(names, bodies, strict=True))
        before = past(self.journal)
        left = [n for n in by_name if not before.done(n)]
        why = self.ask(self._asks(left, by_name), by_name, before.spent_pusd) if left else ""
        if why:
            _LOG.warning("judging stopped: %s", why)
        now = past(self.journal)
        paid = dict(now.paid.pusd)
        return [_grade(now.ended.get(n), read, pusd_to_usd(paid.pop(n, 0)), why) for n in names]

    def _asks(self, names: Sequence[str], bodies: Mapping[str, Any]) -> list[Ask]:
        """Return the asks with the most that each may cost: no token is shorter than a byte."""
        sizes = np.array([len(json.dumps(bodies[n]).encode()) + OVERHEAD_TOKENS for n in names], np.int64)
        most = at_most_pusd(self.book, self.provider, self.model, sizes, np.full(len(names), self.limit_tokens), self.book.date)
        return [
            {"ask_id": n, "provider": self.provider, "model": self.model, "at_most_pusd": int(p)} for n, p in zip(names, most, strict=True)
        ]


def _grade(end: Mapping[str, Any] | None, read: _Read, cost_usd: float, why: str) -> Grade:
    if end is None:
        return Grade(reason="not asked", detail=why, cost_usd=cost_usd)
    if end["status"] != "ok":
        return Grade(reason=f"judge {end['status']}", detail=str(end.get("error_class") or ""), cost_usd=cost_usd)
    reply = str(answer_of(end["body"])["response"] or "")
    found = read(reply)
    if found is None:
        return Grade(reason="judge unreadable", detail=reply[-200:], cost_usd=cost_usd)
    return Grade(found, cost_usd=cost_usd)


def _compared(bench: _Bench, cases: Sequence[Case], criteria: str) -> list[Grade]:
    """Grade by two verdicts each, the answer shown first and second."""
    _require_text(cases)
    asked = [c for c in cases if c.messages and c.response.strip() != (c.reference or "").strip()]
    texts = [(judging.request_text(c.messages or ""), c.response, c.reference or "") for c in asked]
    pairs = [
        m for q, mine, other in texts for m in (judging.comparison(q, mine, other, criteria), judging.comparison(q, other, mine, criteria))
    ]
    said = iter(bench.replies(pairs, judging.winner))
    found = {id(c): _both(next(said), next(said)) for c in asked}
    same = Grade(TIE, checks={"identical": True})
    return [found.get(id(c)) or (same if c.messages else Grade(reason="no prompt")) for c in cases]


def _both(first: Grade, second: Grade) -> Grade:
    """Join the verdicts on an answer that was shown ``first`` and ``second``; disagreement is a tie, and can be counted."""
    cost = first.cost_usd + second.cost_usd
    failed = first if first.reason else second
    if failed.reason:
        return Grade(reason=failed.reason, detail=failed.detail, cost_usd=cost)
    orders = (first.quality, 1 - second.quality)
    return Grade(orders[0] if orders[0] == orders[1] else TIE, checks=dict(zip(("first", "second"), orders, strict=True)), cost_usd=cost)


def _scored(bench: _Bench, cases: Sequence[Case], criteria: str) -> list[Grade]:
    _require_text(cases)
    asked = [c for c in cases if c.messages]
    said = bench.replies(
        [judging.scoring(judging.request_text(c.messages or ""), c.response, c.reference, criteria) for c in asked], judging.score
    )
    found = {id(c): g for c, g in zip(asked, said, strict=True)}
    return [found.get(id(c)) or Grade(reason="no prompt") for c in cases]


def _require_text(cases: Sequence[Case]) -> None:
    if cases and not any(c.messages for c in cases):
        raise NeedsError(
            "answers without their prompts", "the requests' text", "a judge must read what was asked; label from a log that has it"
        )
