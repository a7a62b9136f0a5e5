"""Mirror: a candidate answers in the background what a user was just answered, and both answers are kept as a pair to be graded.

In: a request that was answered, the answer, a model, a budget. Out: lines in ``mirror/answers-YYYY-MM-DD.jsonl``, the journal of a run to
``planner labels ingest``. They hold prompts and answers, because graders need both: the files are readable by their owner alone
(0600), are never sent anywhere, and may be removed at any time. Nothing here is waited for by a user: it begins after the answer was
given, blocks no event loop, drops what is too much, and raises nothing; what is not mirrored is counted with its reason. What a model
answers is stored and never acted upon. Knows nothing of how requests are drawn.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

from planner.router.events import Events
from planner.router.guard_files import append
from planner.router.mirror_budget import Budget, Rates
from planner.router.mirror_request import Ask, ask_of

__all__ = ["TAG", "Mirror", "Today"]

T = TypeVar("T")
#: How a refusal of the text is said.
_CONTENT = re.compile(r"content[ _]?(management )?(policy|filter)", re.IGNORECASE)
#: By this tag our log readers know a call that is work on the traffic and not traffic.
TAG = "planner:labels"
#: Answers under way in a process; [s] after which one is given up; [s] of rest after a failing provider, doubled so often.
_MOST_OPEN, _TIMEOUT_S, _REST_S, _DOUBLINGS = 4, 120.0, 10.0, 6
#: [bytes] of a day's answers, at which no more are asked for.
_MOST_BYTES = 1 << 28


@dataclass(frozen=True, slots=True)
class Today:
    """The answer that the user got.

    Parameters
    ----------
    request_id: as the log will have it: the answer's id.
    model: that answered, by the name it has in the log. answer: in OpenAI's shape, as values or as LiteLLM's object.
    latency_ms: [ms]. cost_usd: [USD] as the gateway has it. provider: in the gateway's spelling.
    session, user: whose it is, where known.
    """

    request_id: str
    model: str
    answer: Any
    latency_ms: float | None = None
    cost_usd: float | None = None
    provider: str | None = None
    session: str | None = None
    user: str | None = None


class Mirror:
    """The background answers of one process; all share the folder ``state`` and its budget. ``events`` counts what is not mirrored."""

    def __init__(self, state: Path, events: Events | None = None) -> None:
        self.folder = state / "mirror"
        self.events = events or Events(state / "events.jsonl", "mirror")
        self.budget = Budget(self.folder)
        self._open = self._failures = 0
        self._rests_until_s = 0.0
        self._thread: ThreadPoolExecutor | None = None

    async def answer(
        self,
        call: Callable[..., Awaitable[Any]],
        body: Mapping[str, Any],
        app: str,
        model: str,
        usd_per_day: float,
        rates: Rates | None,
        today: Today,
    ) -> None:
        """Let ``model`` answer ``body`` and keep the pair; never raises.

        Parameters
        ----------
        call: LiteLLM's ``Router.acompletion``, or what takes the same arguments.
        body: the request as it was sent to the model that answered.
        usd_per_day: [USD] for ``app`` in a UTC day, over all processes.
        rates: of ``model``; None where they are not known, and nothing is asked.
        """
        if rates is None or model == today.model:
            return self._skip("no rates in dollars" if rates is None else "the same model answered")
        if busy := self._busy():
            return self._skip(busy)
        self._open += 1
        try:
            ask = await self._aside(partial(ask_of, body))
            if isinstance(ask, str):
                return self._skip(ask)
            held = rates.pusd(ask.most_input_tokens, ask.most_output_tokens)
            day = await self._aside(partial(self._taken, app, held, usd_per_day))
            if day is None:
                return self._skip("the day's budget: with what is spent and reserved, too little is left for what the call may cost")
            if not day:
                return self._skip("no room for more answers today")
            found = await self._asked(call, ask, model, rates, held)
            await self._aside(partial(self.budget.give, day, app, held - found["cost_pusd"]))
            request = {"app": app, "id": today.request_id, "session": today.session, "user": today.user, **ask.fields}
            await self._aside(partial(self._keep, day, {**found, "at_most_pusd": held}, request, today))
        except Exception as error:  # it must not reach the gateway
            self.events.count("mirror failed", error)
        finally:
            self._open -= 1
        return None

    def _busy(self) -> str:
        """Say why nothing can be asked now, "" where it can."""
        if self._open >= _MOST_OPEN:
            return "too many at once"
        return "resting after a failure" if time.monotonic() < self._rests_until_s else ""

    def _taken(self, app: str, held: int, usd_per_day: float) -> str | None:
        """Hold what a call may cost; return the day, None where its budget has too little left, "" where there is no room for answers."""
        day = self.budget.take(app, held, usd_per_day)
        if day and _size(self._file(day)) > _MOST_BYTES:
            self.budget.give(day, app, held)
            return ""
        return day

    def _file(self, day: str) -> Path:
        return self.folder / f"answers-{day}.jsonl"

    async def _asked(self, call: Callable[..., Awaitable[Any]], ask: Ask, model: str, rates: Rates, held: int) -> dict[str, Any]:
        """Ask once, by no other way and of no other model; return what came of it, in the words of a journal."""
        start = time.monotonic()
        how = {"stream": False, "num_retries": 0, "disable_fallbacks": True, "timeout": _TIMEOUT_S, "metadata": {"tags": [TAG]}}
        how["cache"] = {"no-cache": True, "no-store": True}
        try:
            answer = await asyncio.wait_for(call(model=model, **ask.fields, **how), _TIMEOUT_S)
            body = _plain(answer)
            cost, evidence = _cost(body, rates, held)
            found = {"status": "ok", "http": 200, "cost_pusd": cost, "evidence": evidence, "body": body, "provider": _provider(answer)}
            self._failures = 0
            if cost > held:
                self.events.count("mirror", "a call was dearer than it should ever be")
        except Exception as error:
            found = self._failed(error, held)
        return {**found, "model": model, "latency_ms": 1e3 * (time.monotonic() - start)}

    def _failed(self, error: Exception, held: int) -> dict[str, Any]:
        """Return what a failure means; one that speaks of the provider and not of the request is a reason to leave it alone for a while.

        What may have been answered unseen counts as paid in full.
        """
        code = getattr(error, "status_code", None)
        status = _kind(error, code)
        refused = status != "transport"
        if status in ("transport", "rate_limit"):
            self._rests_until_s = time.monotonic() + _REST_S * 2 ** min(self._failures, _DOUBLINGS)
            self._failures += 1
        about = {"status": status, "http": code if type(code) is int else None, "error_class": type(error).__name__}
        return {**about, "cost_pusd": 0 if refused else held, "evidence": "measured" if refused else "assumed"}

    def _keep(self, day: str, found: Mapping[str, Any], request: Mapping[str, Any], today: Today) -> None:
        name = blake2b(f"{today.request_id}\x1f{found['model']}".encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        theirs = {"model": today.model, "provider": today.provider, "latency_ms": today.latency_ms, "cost_usd": today.cost_usd}
        line = {"event": "end", "call": uuid.uuid4().hex, "ask": name, "at": datetime.now(UTC).isoformat(timespec="milliseconds"), **found}
        line |= {"request": request, "today": {**theirs, "body": _plain(today.answer)}}
        append(self._file(day), json.dumps(line, default=str))

    async def _aside(self, work: Callable[[], T]) -> T:
        """Run what may wait for a file outside the event loop, in a thread of our own, made where it is used: none survives a fork."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "planner-mirror")
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _skip(self, why: str) -> None:
        self.events.count("not mirrored", why)


def _kind(error: Exception, code: Any) -> str:
    """Return the kind of a failure as the journal of a run names it."""
    if type(code) is not int or not 400 <= code < 500 or code == 408:
        return "transport"
    if code == 429:
        return "rate_limit"
    return "content" if _CONTENT.search(f"{type(error).__name__} {error}") else "validation"


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _plain(answer: Any) -> Any:
    return answer.model_dump(mode="json", warnings=False) if hasattr(answer, "model_dump") else answer


def _provider(answer: Any) -> str | None:
    """Return who served it, in LiteLLM's spelling."""
    found = getattr(answer, "_hidden_params", None)
    name = found.get("custom_llm_provider") if isinstance(found, Mapping) else None
    return name if isinstance(name, str) else None


def _cost(body: Any, rates: Rates, held: int) -> tuple[int, str]:
    """Return what an answer cost [pUSD], and the evidence of it: all that was held, where it does not say how many tokens it took."""
    usage = body.get("usage") if isinstance(body, Mapping) else None
    tokens = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")] if isinstance(usage, Mapping) else [None, None]
    if not all(type(n) is int and n >= 0 for n in tokens):
        return held, "assumed"
    return rates.pusd(*tokens), "measured"
