"""The pre-call hook of a LiteLLM proxy: sends each request where router and rollout say, and writes why beside it.

In: what LiteLLM hands to a ``CustomLogger``: requests before they are sent, answers and failures after. Out: another ``model`` and a way
back, tags and ``spend_logs_metadata`` of the requests that are handled; outcomes to the guard, answers in the background to the mirror.
Whatever fails here, or takes too long, is counted, and the request goes as it was asked. Nothing is written to a file while a request
waits, and one is looked at only where the thread that does so stands still. Knows nothing of how decisions are made.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from litellm.integrations.custom_logger import CustomLogger

from planner.router import litellm_proxy as proxy
from planner.router.assign import Assignment, assign
from planner.router.capabilities import REASONS
from planner.router.litellm_back import way_back
from planner.router.litellm_outcome import ids_of, outcome, sent_of, today
from planner.router.litellm_request import Asked, asked, metadata_of
from planner.router.live import Live, On
from planner.router.mirror import Mirror
from planner.router.mirror_budget import Rates
from planner.router.requests import Requests
from planner.router.router import Decision
from planner.router.stamp import stamped
from planner.router.tallies import Outcome

__all__ = ["PlannerHook", "hook"]

T = TypeVar("T")
#: Requests whose answer is awaited; beyond that the oldest is forgotten, as when a client went away.
_MOST_OPEN = 20_000
#: Why a request is not sent to the model that was decided.
_KEPT, _LATE = "kept: the model decided is not to be had here", "kept: no decision in time"
#: [characters] of messages from which a decision leaves the event loop, and [s] after which it is waited for no more.
_LONG, _WAIT_S = 20_000, 0.25
#: Threads that decide; what is too long for them must not take those of the proxy.
_THREADS = 2
#: Modes in which a request may go elsewhere than it asked.
_MOVING = ("canary", "active")


@dataclass(frozen=True, slots=True)
class Sent:
    """A request on its way: whose it is, why it went where it went, and what answers it in the background, for how much a day.

    ``group``: where it was sent.

    ``shaped``: whether a guardrail looks at the format of its answer.
    """

    app: str
    arm: str
    group: str
    call_type: str
    shaped: bool = False
    mirror: str | None = None
    usd_per_day: float = 0.0


class PlannerHook(CustomLogger):  # type: ignore[misc]  # litellm is typed only in parts
    """The hook of one proxy process over the exported ``folder``."""

    def __init__(self, live: Live) -> None:
        super().__init__()
        self.live = live
        self.mirror = Mirror(live.state, live.events)
        self._open: OrderedDict[str, Sent] = OrderedDict()
        self._background: set[asyncio.Task[None]] = set()
        self._threads: ThreadPoolExecutor | None = None

    async def async_pre_call_hook(self, user_api_key_dict: Any, cache: Any, data: Any, call_type: Any) -> Any:
        """Steer one request; whatever goes wrong, it passes as it was asked."""
        try:
            await self._steer(data, user_api_key_dict, call_type)
        except Exception as error:
            self.live.events.count("hook", error)
        return data

    async def async_log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """Tell the guard how an answer was, and let the mirror answer the same request."""
        try:
            sent = self._open.pop(str(kwargs["litellm_params"].get("litellm_call_id")), None)
            if sent is not None:
                found = await outcome(kwargs, response_obj, sent.group, shaped=sent.shaped)
                self.live.guard.observe(sent.app, sent.arm, found, ids_of(kwargs))
                if sent.mirror and sent.call_type == "acompletion" and not kwargs.get("cache_hit"):
                    self._mirror(sent, sent.mirror, kwargs, response_obj)
        except Exception as error:
            self.live.events.count("success event", error)

    async def async_post_call_failure_hook(
        self, request_data: Any, original_exception: Any, user_api_key_dict: Any, traceback_str: Any = None
    ) -> None:
        """Tell the guard that a client saw an error."""
        try:
            sent = self._open.pop(str(request_data.get("litellm_call_id")), None)
            if sent is not None:
                self.live.guard.observe(sent.app, sent.arm, Outcome(True, None, False, None))
        except Exception as error:
            self.live.events.count("failure event", error)

    async def _steer(self, data: Any, auth: Any, call_type: Any) -> None:
        rollout, unread = self.live.fresh().rollout, partial(self.live.events.count, "request unreadable")
        request = asked(data, auth, call_type, rollout.app_from, unread) if rollout else None
        on = self.live.on(request.app) if request else None
        if request is None or on is None or request.model not in on.settings.asks:
            return
        known = on.bundle.router.candidates
        home = request.model if request.model in known else proxy.behind(request.model, known)
        held = proxy.holder(data) if on.settings.mode in _MOVING and not on.stopped else None
        decision = None
        if on.stopped:
            assignment = Assignment(home, "stopped")
        elif held is not None:
            assignment = Assignment(held if held in known and await self._usable(held, auth) else home, "pinned")
        else:
            decision, able = await self._decided(on, request, home, auth)
            assignment = assign(on.rollout, request.app, request.key, decision, home, able)
            if assignment.mirror not in (None, decision.model) and not await self._answers(assignment.mirror, on, request, auth):
                assignment = replace(assignment, mirror=None)
        group = request.model if assignment.model == home else assignment.model
        fields = _moving(data, request.model, group, auth, str(call_type)) if group != request.model else {}
        self._write(data, on, request, decision, assignment, {**fields, "model": group})
        self._remember(str(data.get("litellm_call_id")), on, request.app, assignment, group, str(call_type))

    async def _decided(self, on: On, request: Asked, home: str, auth: Any) -> tuple[Decision, list[str] | None]:
        """Decide, and return who may be explored; a group that the proxy does not have, or the key may not use, is neither.

        Where the reference is the best, a group that no candidate's name is known of keeps the request: nothing is gained by moving it.
        """
        try:
            decision, able = await self._aside(_judged, on, request)
        except TimeoutError:
            self.live.events.count("decision too slow", "as asked")
            return Decision(home, 0.0, _LATE, on.bundle.router.version), None
        if decision.reason == REASONS[1] and home not in on.bundle.router.candidates:
            decision = replace(decision, model=home)
        if decision.model != home and not await self._usable(decision.model, auth):
            decision = replace(decision, model=home, score=0.0, reason=_KEPT)
        return decision, able and [model for model in able if model == home or await self._usable(model, auth)]

    async def _answers(self, model: str | None, on: On, request: Asked, auth: Any) -> bool:
        """Say whether ``model``, which the rollout names, may and, as far as it is a candidate, can answer a request in the background."""
        try:
            if model is None or not await self._usable(model, auth):
                why = "the key may not use the model, or it is not there"
            elif model in on.bundle.router.candidates and model not in await self._aside(_able, on, request):
                why = "the model cannot answer it"
            else:
                return True
        except TimeoutError:
            why = "not known in time whether the model can answer it"
        self.live.events.count("not mirrored", why)
        return False

    async def _aside(self, work: Callable[[On, Asked], T], on: On, request: Asked) -> T:
        """Work at once where that is short, else in a thread of our own, made where it is used; TimeoutError where that takes too long."""
        if _size(request.messages) <= _LONG:
            return work(on, request)
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_THREADS, "planner-decide")
        return await asyncio.wait_for(asyncio.get_running_loop().run_in_executor(self._threads, work, on, request), _WAIT_S)

    async def _usable(self, group: str, auth: Any) -> bool:
        """Say whether the proxy has the group and the caller may use it freely; where that cannot be found out, it may not."""
        if not proxy.knows(group):
            self.live.events.count("unknown model group", group)
            return False
        try:
            return await proxy.may_call(auth, group) and not await proxy.limited(auth, group)
        except Exception as error:
            self.live.events.count("permission unknown", error)
            return False

    def _write(
        self, data: Any, on: On, request: Asked, decision: Decision | None, assignment: Assignment, fields: Mapping[str, Any]
    ) -> None:
        """Put ``fields`` into a request and why beside them, all at once after everything that could fail."""
        metadata, bundle = metadata_of(data), on.bundle
        tagged, said = not proxy.filters_tags(data), {"digest": bundle.digest, "version": bundle.router.version, "mode": on.settings.mode}
        metadata.update(stamped(metadata, request, assignment, decision, tagged=tagged, **said))
        data.update(fields)

    def _remember(self, call: str, on: On, app: str, assignment: Assignment, group: str, call_type: str) -> None:
        """Keep until it is answered whose request this is; a client cannot make that up, as it could what is in the metadata."""
        dollars = on.settings.mirror.usd_per_day if on.settings.mirror else 0.0
        self._open[call] = Sent(app, assignment.arm, group, call_type, "schema" in on.settings.guardrails, assignment.mirror, dollars)
        while len(self._open) > _MOST_OPEN:
            self._open.popitem(last=False)

    def _mirror(self, sent: Sent, model: str, kwargs: Mapping[str, Any], answer: Any) -> None:
        """Let another model answer the same, after the event that this one answered."""
        router, bundle, body = proxy.router(), self.live.bundle, sent_of(kwargs)
        if router is None or bundle is None or body is None:
            return self.live.events.count("not mirrored", "what was sent is not known")
        if proxy.filters_tags({}):  # the mirror's own tag would choose its deployment, and without it a log takes its calls for traffic
            return self.live.events.count("not mirrored", "tags choose deployments here")
        rates = Rates.of(model, bundle.manifest, bundle.router)
        work = self.mirror.answer(router.acompletion, body, sent.app, model, sent.usd_per_day, rates, today(kwargs, answer))
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return None


def hook(file: str) -> PlannerHook:
    """Return the hook over the folder that holds ``file``, looking at it from now on."""
    return PlannerHook(Live.started(Path(file).resolve().parent))


def _moving(data: Any, asked: str, group: str, auth: Any, call_type: str) -> dict[str, Any]:
    """Return what a request that is moved from ``asked`` to ``group`` needs: a way back, and of a chat stream its tokens in the log."""
    metered = proxy.metered(data, group, getattr(auth, "team_id", None)) if call_type == "acompletion" else {}
    return {**metered, **way_back(data, asked, group, proxy.router())}


def _judged(on: On, request: Asked) -> tuple[Decision, list[str] | None]:
    """Decide one request; with exploration on, return the candidates that can answer it too."""
    router = on.bundle.router
    decision = router.decide(request.messages, request.metadata)
    return decision, _able(on, request) if on.settings.explore else None


def _able(on: On, request: Asked) -> list[str]:
    """Return the candidates that can answer a request."""
    router = on.bundle.router
    asked_now = Requests.one(request.messages, request.metadata, router.unit)
    can = router.scores(asked_now, datetime.now(UTC).date().isoformat()).feasible[0].tolist()
    return [model for model, able in zip(router.candidates, can, strict=True) if able]


def _size(messages: Any) -> int:
    """Return the characters in messages, up to a little more than _LONG."""
    found, rest = 0, [messages]
    while rest and found <= _LONG:
        value = rest.pop()
        if isinstance(value, str):
            found += len(value)
        elif isinstance(value, (list, tuple)):
            rest += value
        elif isinstance(value, dict):
            rest += value.values()
    return found
