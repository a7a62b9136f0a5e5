"""What a log shows of today: which model each app uses, and what each model has been seen to do.

In: traffic. Out: {app: model} of the last week, and Capabilities. Seen once with a good end is enough: a request of that
kind was answered. Knows nothing of labels, features or prices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd

from planner.errors import InputError, did_you_mean
from planner.router import Capability
from planner.schema import TOKEN_BUCKETS
from planner.traffic import App, Apps, Traffic

__all__ = ["allowed", "models_today", "seen_capabilities", "widened"]

#: Today is what the last week of the log shows.
_TODAY = pd.Timedelta(days=7)


def models_today(traffic: Traffic, among: Sequence[str] | None = None) -> dict[str, str]:
    """Return the model that answers most requests of each app in the last week of the log.

    Only models ``among`` count where given: an app that uses none of them is left out.
    """
    frame = traffic.frame("timestamp", "app", "model", "purpose", "weight")
    frame = frame[(frame["purpose"] == "user") & (frame["timestamp"] > frame["timestamp"].max() - _TODAY)]
    if among is not None:
        frame = frame[frame["model"].isin(among)]
    counts = frame.groupby(["app", "model"], sort=True)["weight"].sum().reset_index()
    top = counts.sort_values(["app", "weight", "model"], ascending=[True, False, True]).drop_duplicates("app")
    return dict(zip(top["app"], top["model"], strict=True))


def seen_capabilities(traffic: Traffic, models: Sequence[str]) -> dict[str, Capability]:
    """Return what each of ``models`` has answered in the log: longest input, tools, response formats, modalities.

    A model that the log has never seen is left out.
    """
    frame = traffic.frame("model", "status", "has_tools", "response_format", "modalities", *TOKEN_BUCKETS[:4])
    frame = frame[(frame["status"] == "ok") & frame["model"].isin(models)]
    frame["input"] = frame[list(TOKEN_BUCKETS[:4])].sum(axis=1)
    return {str(model): _seen(rows) for model, rows in frame.groupby("model")}


def _seen(rows: pd.DataFrame) -> Capability:
    modalities = sorted({m.strip() for value in rows["modalities"].unique() for m in value.split(",")} | {"text"})
    return Capability(
        max_input_tokens=int(rows["input"].max()),
        tools=bool(rows["has_tools"].any()),
        formats=tuple(sorted({*rows["response_format"].unique(), "text"})),
        modalities=tuple(modalities),
        source="seen in the log",
    )


def allowed(models: Sequence[str], capabilities: Sequence[Capability], apps: Apps, providers: Mapping[str, str]) -> tuple[Capability, ...]:
    """Return the capabilities narrowed to the apps whose owners allow each model and its provider.

    Only what an owner states counts: a field that the draft guessed forbids nothing. A provider that is not known is none
    of those that are allowed. InputError where an owner states candidates of which none has labels.
    """
    for name, app in apps.apps.items():
        if app.candidates and "candidates" not in app.assumed and not {*app.candidates} & {*models}:
            near = did_you_mean(app.candidates[0], models)
            raise InputError(f"candidates {', '.join(app.candidates)} of app {name!r}", f"at least one of {', '.join(models)}", near)
    return tuple(_allowed(m, c, apps, providers.get(m, "")) for m, c in zip(models, capabilities, strict=True))


def _allowed(model: str, known: Capability, apps: Apps, provider: str) -> Capability:
    forbidden = {name for name, app in apps.apps.items() if _forbids(app, model, provider)}
    if not forbidden:
        return known
    return replace(known, apps=tuple(sorted(set(apps.apps if known.apps is None else known.apps) - forbidden)))


def _forbids(app: App, model: str, provider: str) -> bool:
    stated = {"candidates": app.candidates and model not in app.candidates}
    stated["allowed_providers"] = app.allowed_providers and provider not in app.allowed_providers
    return any(forbids and field not in app.assumed for field, forbids in stated.items())


def widened(known: Mapping[str, Capability], seen: Mapping[str, Capability]) -> dict[str, Capability]:
    """Return ``known`` with what was also ``seen``: the union of what either shows; limits on dates and apps stay.

    A known context window says more than the longest input seen, which then sets no limit.
    """
    out = dict(known)
    for model, more in seen.items():
        base = known.get(model, more)
        longest = max((x for x in (base.max_input_tokens, more.max_input_tokens) if x is not None), default=None)
        out[model] = replace(
            base,
            max_input_tokens=longest if base.context_tokens is None else base.max_input_tokens,
            tools=base.tools or more.tools,
            formats=tuple(sorted({*base.formats, *more.formats})),
            modalities=tuple(sorted({*base.modalities, *more.modalities})),
            source=base.source if base is more else f"{base.source}; {more.source}",
        )
    return out
