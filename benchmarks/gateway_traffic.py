"""The traffic of a load test: requests of a router's apps, all of them active, and where each must go.

In: a router and requests; by default the sample's held-out chats and the router trained on the others. Out: what to ask, and the model
planned for it, from ``Router.decide`` and ``assign`` alone. Knows nothing of gateways.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.decision_latency import sample_case
from planner.bundle import export
from planner.router import Requests, Router
from planner.router.assign import assign
from planner.router.rollout import AppRollout, Guardrail, Rollout, write


@dataclass(frozen=True)
class Ask:
    """A chat request: the model group asked for, the messages, the app and the session, and what came with it."""

    model: str
    messages: Any
    app: str
    session: str
    beside: Mapping[str, Any]


@dataclass(frozen=True)
class Traffic:
    """A router, requests of its apps, and the rollout they run under."""

    router: Router
    messages: Sequence[Any]
    metadata: Sequence[dict[str, Any]]
    rollout: Rollout

    def ask(self, i: int) -> Ask:
        """Return request ``i``; requests repeat, sessions do not."""
        at = i % len(self.messages)
        beside = {"max_tokens": int(self.metadata[at]["max_tokens"] or 64)}
        return Ask(self.router.reference, self.messages[at], self.metadata[at]["app"], f"session-{i}", beside)

    def planned(self, ask: Ask) -> str:
        """Return the model that request must go to."""
        beside = {"app": ask.app, "model": ask.model, **ask.beside}
        decision, one = self.router.decide(ask.messages, beside), Requests.one(ask.messages, beside, self.router.unit)
        can = self.router.scores(one, datetime.now(UTC).date().isoformat()).feasible[0]
        able = [m for m, ok in zip(self.router.candidates, can.tolist(), strict=True) if ok]
        return assign(self.rollout, ask.app, ask.session, decision, ask.model, able).model


def sample_traffic() -> Traffic:
    """Return the sample's held-out requests and the router trained on the others."""
    case = sample_case()
    return traffic_of(case.router, case.messages, case.metadata)


def traffic_of(router: Router, messages: Sequence[Any], metadata: Sequence[dict[str, Any]]) -> Traffic:
    """Return requests with every app active, a tenth of the routed explored."""
    one = AppRollout("active", 1.0, 0.1, (router.reference,), router.candidates, None, {"error": Guardrail(1.0, 0.0)})
    return Traffic(router, messages, metadata, Rollout("3f9a01c2", 0.05, apps={str(m["app"]): one for m in metadata}))


def exported(traffic: Traffic, folder: Path) -> Path:
    """Write bundle and rollout."""
    export(traffic.router, folder / "bundle")
    write(folder / "rollout.json", traffic.rollout)
    return folder
