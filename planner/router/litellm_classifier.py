"""The official classifier slot of LiteLLM (``auto_router/complexity_router`` with ``classifier_type: custom``): names the tier to use.

In: the messages and metadata of a request to the automatic group, as LiteLLM's RoutingContext. Out: the model that router and rollout
chose, which the exported configuration gives its tier as a label (the order of tiers is that of somebody's YAML, and may be any); None,
at which LiteLLM falls back, where no tier has that model or anything fails. The slot can write nothing into the log but the tier: who
was held out can be drawn again from the salt, propensities are not logged. It is shown neither tools nor formats, so it suits
candidates that all take the same. Knows nothing of how decisions are made.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from planner.errors import InputError
from planner.router.assign import assign
from planner.router.litellm_request import app_of, unit_of
from planner.router.live import Live

__all__ = ["PlannerClassifier", "classifier"]


class PlannerClassifier:
    """The classifier of one proxy process over the exported ``folder``."""

    def __init__(self, live: Live) -> None:
        self.live = live

    def __deepcopy__(self, memo: dict[int, Any]) -> PlannerClassifier:
        """Return itself: LiteLLM copies its configuration, and a process has one classifier."""
        return self

    async def classify(self, context: Any) -> str | None:
        """Return the label of the tier of one request: its model, or the app's model of today where that has no tier."""
        try:
            chosen, home = await self._models(context)
            return next((model for model in (chosen, home) if model in context.candidate_models), None)
        except Exception as error:
            self.live.events.count("classifier", error)
            return None

    async def _models(self, context: Any) -> tuple[str, str]:
        """Return the model that was chosen, and the app's model of today."""
        live = self.live.fresh()
        rollout, bundle = live.rollout, live.bundle
        if bundle is None:
            raise InputError("no bundle", "one that can be read", "run: planner export LABELS --out FOLDER")
        app = app_of(context.metadata, "", rollout.app_from if rollout else None)
        home = bundle.router.candidates[int(bundle.router.home([app])[0])]
        on = live.on(app)
        if on is None or on.stopped:
            return home, home
        decide = on.bundle.router.decide
        decision = await asyncio.to_thread(decide, context.structured_messages, {"app": app, "model": home})
        return assign(on.rollout, app, unit_of({}, context.metadata)[0], decision, home).model, home


def classifier(file: str) -> PlannerClassifier:
    """Return the classifier over the folder that holds ``file``, looking at it from now on."""
    return PlannerClassifier(Live.started(Path(file).resolve().parent))
