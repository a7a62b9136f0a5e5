"""A rehearsal: the sample's next month, as an exported folder would have steered it.

In: a folder that ``export_gateway`` wrote, with what its ``rollout.json`` says is on. Out: the log of that month as LiteLLM writes it, read
by our own reader. A request is decided on its own day. Runs the exported bundle, its draws and what the hook writes, not the gateway:
that is ``benchmarks/closed_loop``. What the plan does besides routing does not happen here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from planner.errors import InputError
from planner.router import Router
from planner.router.assign import assign
from planner.router.litellm_request import Asked, asked
from planner.router.load import read_manifest
from planner.router.requests import Requests
from planner.router.rollout import Rollout
from planner.router.rollout import read as read_rollout
from planner.router.stamp import stamped
from planner.synthetic.drafts import Draft
from planner.synthetic.log import build
from planner.synthetic.payloads import parameters, session_of, tags_of, write
from planner.synthetic.sample import MAPPING
from planner.synthetic.served import served
from planner.synthetic.world import APPS, DAYS, MODELS, SEED, START, App, model_at
from planner.traffic import Traffic, read

__all__ = ["rehearse"]

_ON = ("canary", "active")
_NAMES = [m.name for m in MODELS]
_DAY_US = 86_400_000_000


def rehearse(
    folder: str | Path,
    out: str | Path,
    requests: int = 20_000,
    *,
    month: int = 1,
    seed: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Traffic:
    """Let the sample's users ask for a month more, and ``folder`` steer what its rollout says; SYNTHETIC.

    Parameters
    ----------
    folder: of ``planner.bundle.production.export_gateway`` over the sample. out: ``*.jsonl.zst``, the log that is written.
    requests: in that month. month: how many months after the sample's, from 1. seed: of the requests; one of its own for each month.
    progress: called with (sessions written, in all).

    Raises InputError where nothing is on: set an app's mode to canary or active first (``planner rollout set``); and where the folder was
    exported for another log.
    """
    path = Path(folder)
    router, rollout = Router.load(path / "bundle"), read_rollout(path / "rollout.json")
    if not any(own.mode in _ON for own in rollout.apps.values()):
        fix = f"planner rollout set {path} --app APP --mode canary"
        raise InputError(f"{path}, where no app is steered", "an app in canary or active", fix)
    log = build(requests, SEED + month if seed is None else seed, progress, month)
    steered = Steered(router, rollout, read_manifest(path / "bundle")[0]["digest"], month)
    model, stamps = log.column("model").copy(), []
    for i, row in enumerate(log.table.to_dict("records")):
        to, stamp = steered.one({str(k): v for k, v in row.items()}, log.drafts[i], _home(row, month))
        model[i] = row["model"] if to is None else to
        stamps.append(stamp)
    if not any(stamps):
        raise InputError(
            f"{path}, whose rollout names no model group of the sample", "an export that was given the sample's log", "export again"
        )
    write(served(log, model), Path(out), stamps)
    return read(out, mapping=MAPPING, text=True)


@dataclass(frozen=True)
class Steered:
    """What a proxy runs, so many months after the sample's: a router, its rollout, and the digest of the bundle."""

    router: Router
    rollout: Rollout
    digest: str
    month: int = 1

    def one(self, row: Mapping[str, Any], draft: Draft, home: int) -> tuple[int | None, dict[str, Any] | None]:
        """Return the model that answers a request and what is written beside it, as the hook does; None, None where nothing is on."""
        app = APPS[row["app"]]
        on = self.rollout.apps.get(app.name)
        if on is None or on.mode not in _ON or not draft.messages:
            return None, None
        request = asked(_data(row, draft, app), None, "acompletion", self.rollout.app_from)
        if request is None or request.model not in on.asks:
            return None, None
        day = str(START + np.timedelta64(int(row["time_us"]) + self.month * DAYS * _DAY_US, "us"))[:10]
        decision = self.router.decide(request.messages, request.metadata, at=day)
        asked_for = MODELS[home].name
        assignment = assign(self.rollout, request.app, request.key, decision, asked_for, self._able(request, day) if on.explore else None)
        metadata = {"tags": tags_of(row, app)}
        stamp = stamped(metadata, request, assignment, decision, digest=self.digest, version=self.router.version, mode=on.mode)
        return _NAMES.index(assignment.model), stamp

    def _able(self, request: Asked, day: str) -> list[str]:
        """Return the candidates that can answer a request on an ISO date."""
        can = self.router.scores(Requests.one(request.messages, request.metadata, self.router.unit), day).feasible[0]
        return [model for model, able in zip(self.router.candidates, can.tolist(), strict=True) if able]


def _data(row: Mapping[str, Any], draft: Draft, app: App) -> dict[str, Any]:
    """Return a request as LiteLLM hands it to its hook."""
    session = {} if app.turns == 1 else {"litellm_trace_id": session_of(row, app)}
    return {
        "model": f"{app.name}-default",
        "messages": [m.payload() for m in draft.messages],
        "litellm_call_id": row["request_id"],
        "metadata": {"tags": tags_of(row, app), "user_api_key_end_user_id": row["user"]},
        **session,
        **parameters(app, draft, 0.0),
    }


def _home(row: Mapping[Any, Any], month: int) -> int:
    """Return the model that stands behind an app's group on a day."""
    day = np.array([row["time_us"] // _DAY_US + month * DAYS])
    return _NAMES.index(str(model_at(APPS[row["app"]].models, day)[0]))
