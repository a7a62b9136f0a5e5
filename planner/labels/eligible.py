"""Which requests of a log may be labelled, and why the others may not.

In: a log's columns, what is known of its texts, apps and who may see their prompts. Out: one reason per request, 0 where it may be
asked again. Nothing that could act, that is not whole, or that a provider may not see is ever asked again. Knows nothing of budgets.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from planner.labels.quotes import Served
from planner.labels.texts import Texts
from planner.traffic import App

__all__ = ["CHEAPEST", "COLUMNS", "NONE_ALLOWED", "NONE_FITS", "REASONS", "UNREACHED", "allowed", "reasons"]

#: Columns of the log that decide.
COLUMNS = ("purpose", "cache_hit", "status", "text_state", "has_tools", "modalities", "response_format", "app")
#: Why a request is not labelled, in the order in which it is looked for; 0 is none.
REASONS = (
    "",
    "a router's or judge's own call",
    "answered by the gateway's response cache",
    "the logged call failed",
    "no price for today's model",
    "no prompt text in the log",
    "the prompt was cut by the logger",
    "its tools may act (side_effects in apps.yaml): never asked again",
    "tools were offered, and the log holds no definitions of them",
    "images, audio or files in the prompt: no price before asking",
    "its JSON schema is not in the log (it can be stated)",
    "no candidate may see it (allowed_providers, candidates in apps.yaml)",
    "no candidate's context window holds it",
    "no candidate is cheaper than today's model in this app",
    "the budget does not reach this app",
)
#: The last four are found later than the others.
NONE_ALLOWED, NONE_FITS, CHEAPEST, UNREACHED = range(11, 15)


def reasons(
    frame: pd.DataFrame, texts: Texts, priced: NDArray[np.bool_], apps: Mapping[str, App], schemas: Collection[str]
) -> NDArray[np.int8]:
    """Return the first of REASONS 1 to 10 that holds for each request, else 0; ``schemas`` names the apps whose schema is stated."""
    tools = frame["has_tools"].to_numpy(bool) | texts.calls
    acting = frame["app"].map({name: app.side_effects for name, app in apps.items()}).to_numpy(bool)
    state = frame["text_state"].to_numpy()
    shaped = (frame["response_format"] == "json_schema").to_numpy() & ~frame["app"].isin(list(schemas)).to_numpy()
    masks = (
        (frame["purpose"] != "user").to_numpy(),
        frame["cache_hit"].to_numpy(bool),
        (frame["status"] != "ok").to_numpy(),
        ~priced,
        (state == "none") | ((state == "full") & (texts.size == 0)),
        state == "cut",
        tools & acting,
        tools,
        (frame["modalities"] != "text").to_numpy(),
        shaped,
    )
    found = np.zeros(len(frame), np.int8)
    for code, mask in enumerate(masks, 1):
        found[(found == 0) & mask] = code
    return found


def allowed(
    app: App, candidates: Sequence[Served], logged: Mapping[str, str], seen: Collection[str], stated: Collection[str]
) -> tuple[Served, ...]:
    """Return the candidates that may see the prompts of ``app``.

    A candidate may when its provider is in the app's ``allowed_providers``; where the app names none, or they are a guess, when its
    provider is one that this log shows already (``seen``) or that the caller has ``stated``. Where ``candidates`` are stated, only
    these. ``logged`` is model → provider as the log spells it.
    """
    owner = app.allowed_providers and "allowed_providers" not in app.assumed
    providers = {*app.allowed_providers} if owner else {*app.allowed_providers, *seen, *stated}
    named = {*app.candidates} if app.candidates and "candidates" not in app.assumed else None
    return tuple(
        c for c in candidates if (c.provider in providers or logged.get(c.model) in providers) and (named is None or c.model in named)
    )
