"""Let the candidates answer through the user's own endpoint: never beyond the budget, and never twice for one answer.

In: work, an OpenAI-compatible endpoint, a budget. Out: a journal in the work folder with every call, and a Run that says how far it
came. Can be stopped and started at any moment. Knows nothing of how requests were chosen or are graded.
"""

from __future__ import annotations

import datetime as dt
import logging
import threading
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from planner.errors import InputError
from planner.labels.bodies import LIMIT_FIELDS, items_of, openai_body
from planner.labels.budget import Budget
from planner.labels.client import FALLBACK, Endpoint, Reply, endpoint, post
from planner.labels.journal import RETRIED, Journal, past
from planner.labels.quotes import dollars
from planner.labels.ran import Run, run_of
from planner.labels.replies import cost_pusd
from planner.labels.work import JOURNAL, Work
from planner.prices import PriceBook
from planner.stats import draws
from planner.units import PUSD_PER_USD, usd_to_pusd

__all__ = ["Ask", "ask_all", "run_labels"]

Ask: TypeAlias = dict[Hashable, Any]
_LOG = logging.getLogger(__name__)
#: A wait between tries [s]: doubled from the first, never longer than the second, whatever the endpoint asks for.
_WAIT_S, _LONGEST_S = 1.0, 60.0
#: So many asks in a row that failed after all their tries, from the start or later, mean that the endpoint has no answer to give.
_HOPELESS_FIRST, _HOPELESS = 10, 20
_TICK_S = 0.1


@dataclass(eq=False)
class _State:
    """What the threads of a run share."""

    journal: Journal
    budget: Budget
    book: PriceBook
    at: dt.date
    where: Endpoint
    tries: int
    body: Callable[[Ask], dict[str, Any]]
    left: Iterator[Ask]
    wait_s: float
    finished: int = 0
    failures: int = 0
    answered: int = 0
    why: str = ""
    error: BaseException | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next(self) -> Ask | None:
        """Return the next ask, None when all are made or the run stops."""
        with self.lock:
            return None if self.stop.is_set() else next(self.left, None)

    def halt(self, why: str) -> None:
        """Start no further call, for the first reason that is given."""
        with self.lock:
            self.why = self.why or why
        self.stop.set()

    def count(self, reply: Reply) -> None:
        """Count an ask that is over."""
        with self.lock:
            self.finished += 1
            self.answered += reply.status == "ok"
            failed = reply.status in RETRIED or (reply.status == "validation" and not self.answered)
            self.failures = self.failures + 1 if failed else 0


def run_labels(
    work: Work | str | Path,
    base_url: str,
    *,
    budget_usd: float | None = None,
    concurrency: int = 8,
    api_key: str | None = None,
    book: PriceBook | None = None,
    names: Mapping[str, str] | None = None,
    limit_field: str = LIMIT_FIELDS[0],
    timeout_s: float = 120.0,
    retries: int = 5,
    wait_s: float = _WAIT_S,
    progress: Callable[[int, int], None] | None = None,
) -> Run:
    """Ask every model of ``work`` what it has not answered yet.

    Parameters
    ----------
    work: a folder that ``Work.save`` wrote; the journal of all calls is kept in it.
    base_url: of an endpoint with OpenAI's ``/chat/completions``: the user's gateway.
    budget_usd: [USD] for all runs of this work together; by default that of the sample, less the grading.
    concurrency: calls at a time.
    api_key: sent as bearer token; kept nowhere.
    book: the prices by which answers are paid.
    names: model → what the endpoint calls it, where that differs.
    limit_field: ``max_completion_tokens``, or ``max_tokens`` for servers that know no other.
    timeout_s: how long a call may be silent.
    retries: further tries after a rate limit, a failing server or a lost connection; other failures are final. ``wait_s`` before the
        first, doubled each time, or as Retry-After says.
    progress: called with (asks over, asks in all).

    The most that a call may cost is set aside before it is made, so that no order of events exceeds the budget; a call whose
    answer was lost counts as paid in full. KeyboardInterrupt, and what ``progress`` raises, is raised again once the calls under way
    have ended. Raises InputError for work that must not be asked, when another run holds the folder, and when not one call fits.
    """
    work = work if isinstance(work, Work) else Work.open(work)
    folder = _check(work, concurrency, retries, limit_field, timeout_s)
    items, where, names = items_of(work), endpoint(base_url, api_key, timeout_s), names or {}
    before = past(folder / JOURNAL)
    asks: list[Ask] = [a for a in work.asks.to_dict("records") if not before.done(str(a["ask_id"]))]
    budget = Budget(usd_to_pusd(_budget(work, budget_usd)), before.spent_pusd)
    _fits(asks, budget)
    done, total = len(work.asks) - len(asks), len(work.asks)
    why = ask_all(
        folder / JOURNAL, asks, lambda ask: openai_body(items[str(ask["request_id"])], ask, names, work.meta["schemas"], limit_field),
        where, budget, book=book or PriceBook.load(), at=dt.date.fromisoformat(work.meta["at"]), concurrency=concurrency, retries=retries,
        wait_s=wait_s, progress=progress and (lambda now, _: progress(done + now, total)),
    )  # fmt: skip
    return run_of(work, past(folder / JOURNAL), why)


def ask_all(
    journal: Path,
    asks: Sequence[Ask],
    body: Callable[[Ask], dict[str, Any]],
    where: Endpoint,
    budget: Budget,
    *,
    book: PriceBook,
    at: dt.date,
    concurrency: int = 8,
    retries: int = 5,
    wait_s: float = _WAIT_S,
    progress: Callable[[int, int], None] | None = None,
) -> str:
    """Make every call of ``asks`` (``ask_id, provider, model, at_most_pusd``), and return why it ended early, or nothing.

    ``body`` makes the request of an ask. What came of it is read from ``journal``; see :func:`run_labels` for what holds of calls.
    """
    with Journal(journal) as opened:
        state = _State(opened, budget, book, at, where, retries + 1, body, iter(asks), wait_s)
        _all(state, min(concurrency, max(len(asks), 1)), len(asks), progress)
    return state.why


def _check(work: Work, concurrency: int, retries: int, limit_field: str, timeout_s: float) -> Path:
    if work.folder is None:
        raise InputError("work that is in no folder", "a folder for the journal", "save it first: work = work.save(FOLDER)")
    if not 1 <= concurrency <= 256 or retries < 0 or not timeout_s > 0:
        raise InputError(
            f"concurrency {concurrency}, retries {retries}, timeout_s {timeout_s}", "1 to 256 calls at a time, 0 or more, above 0"
        )
    if limit_field not in LIMIT_FIELDS:
        raise InputError(f"limit_field {limit_field!r}", f"one of {', '.join(LIMIT_FIELDS)}")
    return work.folder


def _budget(work: Work, budget_usd: float | None) -> float:
    """Return the dollars for answers."""
    if budget_usd is None:
        graded = len(work.asks) + len(work.logged)
        budget_usd = float(work.meta["budget_usd"]) - graded * float(work.meta["grader_usd"])
    if not 0 < budget_usd < float("inf"):
        raise InputError(f"a budget of {budget_usd!r}", "dollars above 0")
    return budget_usd


def _fits(asks: list[Ask], budget: Budget) -> None:
    if asks and asks[0]["at_most_pusd"] > budget.left_pusd:
        most, left = asks[0]["at_most_pusd"] / PUSD_PER_USD, budget.left_pusd / PUSD_PER_USD
        raise InputError(
            f"{dollars(max(left, 0))} left of the budget",
            f"{dollars(most)}, the most that the next answer may cost",
            "raise the budget, or sample again with a lower output limit",
        )


def _all(state: _State, threads: int, total: int, progress: Callable[[int, int], None] | None) -> None:
    """Work in ``threads`` until all is asked or the run stops; what is under way is always waited for, once."""
    ended = [threading.Event() for _ in range(threads)]  # joining a thread once more after an interrupt may return at once
    workers = [threading.Thread(target=_work, args=(state, end), daemon=True) for end in ended]
    try:
        for worker in workers:
            worker.start()
        for end in ended:
            over = False
            while not over:
                over = end.wait(_TICK_S)
                if progress:
                    progress(state.finished, total)
    except KeyboardInterrupt:
        _LOG.warning("waiting for the answers under way, which are paid for; Ctrl-C again leaves at once")
        raise
    finally:
        state.stop.set()
        for worker, end in zip(workers, ended, strict=True):
            if worker.ident is not None:
                end.wait()
    if state.error is not None:
        raise state.error


def _work(state: _State, end: threading.Event) -> None:
    try:
        while (ask := state.next()) is not None:
            _ask(state, ask)
    except BaseException as error:  # a thread has no caller: the main one raises it
        state.error = state.error or error
        state.stop.set()
        state.budget.close()
    finally:
        end.set()


def _ask(state: _State, ask: Ask) -> None:
    """Ask until there is an answer, a failure that is final, no try left, or no budget."""
    for number in range(state.tries):
        if not state.budget.reserve(int(ask["at_most_pusd"])):
            return state.halt("the budget is spent")
        if state.stop.is_set():
            return state.budget.settle(int(ask["at_most_pusd"]), 0)
        reply = _call(state, ask)
        last = reply.status not in RETRIED or number + 1 == state.tries
        if _hopeless(state, reply) or last:
            break
        state.stop.wait(_pause(reply, str(ask["ask_id"]), number, state.wait_s))
        if state.stop.is_set():
            return None
    return state.count(reply)


def _call(state: _State, ask: Ask) -> Reply:
    """Make one call between its two lines in the journal, and settle what it cost."""
    most, name = int(ask["at_most_pusd"]), str(ask["ask_id"])
    call = f"{name}-{state.journal.number()}"
    state.journal.write("start", call=call, ask=name, at_most_pusd=most)
    reply = post(state.where, state.body(ask), name)
    known = cost_pusd(state.book, ask["provider"], ask["model"], "standard", reply.answer, state.at)
    cost, evidence = known or (most if reply.unseen or reply.answer else 0, "assumed")
    state.journal.write(
        "end", call=call, ask=name, model=ask["model"], status=reply.status, error_class=reply.error_class, http=reply.http,
        latency_ms=round(reply.latency_ms, 1), cost_pusd=cost, evidence=evidence, body=reply.body,
    )  # fmt: skip
    state.budget.settle(most, cost)
    if cost > most:
        state.halt("an answer cost more than its output limit allows: the endpoint does not keep to it")
    return reply


def _hopeless(state: _State, reply: Reply) -> bool:
    """Stop the run where no later call can do better; True when it stops."""
    if reply.http in (401, 403):
        state.halt(f"the endpoint refuses the key or the model ({reply.http} {reply.error_class}): check the key, and that it is given")
    elif reply.error_class == FALLBACK:
        state.halt("the gateway answered with another model than was asked: switch its fallbacks off for these calls")
    elif not reply.sent and not state.answered:
        state.halt(f"nothing answers at {state.where.url} ({reply.error_class})")
    elif state.failures >= (_HOPELESS if state.answered else _HOPELESS_FIRST):
        state.halt(f"the last {state.failures} answers asked for failed, however often they were tried, now with {reply.error_class}")
    return state.stop.is_set()


def _pause(reply: Reply, name: str, number: int, wait_s: float) -> float:
    """Return how long to wait before try ``number`` + 2 [s]: as asked for, else doubled each time and spread by half."""
    if reply.retry_after_s is not None:
        return min(reply.retry_after_s, _LONGEST_S)
    spread = float(draws.uniform(number, draws.key([name]), "label/wait")[0])
    longest: float = min(wait_s * 2.0**number, _LONGEST_S)
    return longest * (0.5 + spread)
