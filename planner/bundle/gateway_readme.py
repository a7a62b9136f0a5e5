"""The page beside an exported configuration: how to merge, start, turn on, stop and roll back, and what the gateway does otherwise.

In: what was written. Out: one page of Markdown. Knows nothing of how any of it was made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from planner.bundle.gateway_models import Group, spelled
from planner.bundle.gateway_settings import GatewaySettings
from planner.bundle.nocode import AUTO, NoCode
from planner.bundle.preflight_checks import TESTED
from planner.router import Router

__all__ = ["expected", "readme"]


def readme(
    head: str,
    router: Router,
    apps: Sequence[str],
    groups: Sequence[Group],
    settings: tuple[GatewaySettings, GatewaySettings],
    nocode: NoCode | str,
    prediction: Mapping[str, Any] | None,
    tiers: Sequence[str],
) -> str:
    """Return the page; ``settings`` with the hook and without, ``tiers`` the models that the classifier's configuration has one for."""
    hooked, plain = settings
    parts = [
        f"# A router for LiteLLM\n\n{head} It chooses among {', '.join(router.candidates)} for {', '.join(apps)}.",
        *([f"## What is expected\n\n{expected(prediction)}"] if prediction else []),
        f"## Files\n\n{_files(nocode)}",
        f"## Start\n\n{_start(groups, hooked)}",
        f"## Merge into your configuration\n\n{_merge(hooked)}",
        _turn_on(apps),
        _STOP,
        f"## Without the hook\n\n{_slot(router, apps, tiers)}\n\n{_nocode(nocode)}\n\n{_failing(router, plain)}",
        f"## What LiteLLM cannot express\n\n{_unsaid(hooked) or 'Nothing of this plan.'}",
    ]
    return "\n\n".join(parts) + "\n"


def expected(prediction: Mapping[str, Any]) -> str:
    """Say in a sentence or two what a manifest's ``prediction`` expects."""
    saving, quality = prediction["saving_usd_per_month"], prediction["quality_difference"]
    cost, prices = prediction["usd_per_month"], prediction["prices"]
    worth = "unknown, no label tells" if quality["value"] is None else _span(quality, "+.4f")
    limits = prediction.get("usd_per_month_limits")
    plan, log = (f"{cost[who]:,.2f}{'' if limits is None else _between(limits[who])}" for who in ("plan", "log"))
    sample = "" if limits is None else ", estimated from a sample of the log"
    return (
        f"{plan} USD a month instead of {log}, at {prices['book']} prices of {prices['date']}{sample}. It saves "
        f"{_span(saving, ',.2f')} USD a month; quality difference: {worth}. The manifest keeps it (`evaluation`), for `planner verify`."
    )


_FILES = """\
| file | what it is |
|---|---|
| `bundle/` | the router; checked when it is loaded, and never edited |
| `config.yaml`, `planner_router.py` | the hook: all candidates, shadow to active, holdout, guardrails |
| `config_classifier.yaml`, `planner_classifier.py` | LiteLLM's own classifier slot: at most four models |
{nocode}| `rollout.json` | what is on, per app; watched while the gateway runs, and never overwritten by an export |
| `bundle.previous/` | after another export into this folder: the router before this one; `planner rollout back` puts it back |
| `state/` | counts and alarms, made at run time |"""
_NOCODE = "| `config_nocode.yaml` | LiteLLM's heuristic with counts from the labels: no code of planner |\n"

_MERGE = """\
Add the entries of `model_list` that you do not have, and `planner_router.planner_router` to `litellm_settings.callbacks`; put
`planner_router.py`, `bundle/` and `rollout.json` beside your configuration. Take over `router_settings` key by key: they hold for every
model group. Cooldowns are off, since a group has one deployment: to cool it down would only turn retries into refusals."""

_BACK = """\
No fallbacks are written, since LiteLLM's hold for every request of a group: what was not moved fails as it does today. To a request that it
moves the hook gives a way back, for that request alone: where the new model fails, the group that was asked for answers, then whatever your
own `fallbacks` name. A group with `fallbacks` of its own keeps them instead."""
_PLANNED = """\
The fallbacks are the plan's, as it was simulated, also for requests that are moved; LiteLLM's hold for every request of a group."""

_ASK = """\
Keys that may use the gateway must be allowed to use every candidate: to a model that a key, or its team, user or project, may not use, has
spent its budget for or has an alias for, none of its requests is moved. Nor to one whose calls or tokens a minute are limited for it alone:
LiteLLM counts those after the hook, and would refuse what the model asked for would have answered. Then ask, and once more with a key of an
app and `--app`:

    planner preflight . --proxy http://127.0.0.1:4000 --key-env LITELLM_MASTER_KEY"""

_STOP = """\
## Stop

    touch STOP

beside `rollout.json`, or `"stop": true` in it: within seconds every worker sends everything as asked. Remove the file to go on.

## Roll back

For one app, `"mode": "off"`. For the router, put the one before it back, which an export into this folder keeps:

    planner rollout back .

The two change places in one step, so that the same again undoes it. A running gateway takes it up by itself, and keeps the loaded one if it
does not check out. `config.yaml` is that of the last export: of an
earlier one nothing is kept, so export that again, with its `--plan`, where its settings mattered. For good, take
`planner_router.planner_router` out of `callbacks` and restart the gateway."""


def _start(groups: Sequence[Group], settings: GatewaySettings) -> str:
    variables = sorted({value.removeprefix("os.environ/") for g in groups for k, value in spelled(g).items() if k != "model"})
    guessed = [g.name for g in groups if not g.provider]
    low, high = (".".join(map(str, v)) for v in TESTED)
    lines = [
        f"pip install 'litellm[proxy]>={low},<{high}'",
        f"pip install PLANNER  # its checkout, or llm_traffic_planner-{version('llm-traffic-planner')}-py3-none-any.whl: it is on no index",
        'export LITELLM_MASTER_KEY="sk-$(openssl rand -hex 32)"',
        *(f"export {name}=…" for name in variables),
        *(f"export {name}={value}" for name, value in settings.environment.items()),
        "litellm --config config.yaml",
    ]
    note = f"\n\nNo price book knows who serves {', '.join(guessed)}: correct `model` and `api_base` there." if guessed else ""
    return "\n".join(f"    {line}" for line in lines) + note


def _merge(settings: GatewaySettings) -> str:
    """Say what to take over, and where requests go whose model fails."""
    kept = "The plan has no lever of retries, so none are written: yours stay, and without any LiteLLM tries twice more."
    fails = _PLANNED if settings.router.get("fallbacks") else _BACK
    return "\n\n".join([_MERGE, fails, *([] if "retry_policy" in settings.router else [kept]), _ASK])


def _turn_on(apps: Sequence[str]) -> str:
    listed = ", ".join(f"`{app}`" for app in apps)
    return (
        "## Turn on\n\nEvery app begins in `shadow`: decided and logged, sent as asked. Set its `mode` in `rollout.json` to `canary` (a "
        "sticky `share` of sessions), then to `active`; `holdout` stays out of both, and tells later what routing brought. "
        f"Listed {'are' if len(apps) > 1 else 'is'} {listed}; any other app is left alone."
    )


def _files(nocode: NoCode | str) -> str:
    return _FILES.format(nocode="" if isinstance(nocode, str) else _NOCODE)


def _slot(router: Router, apps: Sequence[str], tiers: Sequence[str]) -> str:
    """Say what the classifier's configuration does, and what it does otherwise than the hook."""
    homes: dict[str, list[str]] = {}
    for app in apps:
        homes.setdefault(router.candidates[int(router.home([app])[0])], []).append(app)
    today = "; ".join(f"{', '.join(own)}: {home}" for home, own in homes.items())
    lost = [home for home in homes if home not in tiers]
    gone = f" {', '.join(lost)} has no tier: for these apps it is {router.reference} instead, so do not run them here." if lost else ""
    left = [model for model in router.candidates if model not in tiers]
    few = (
        f" LiteLLM has four tiers, none for {', '.join(left)}: what is decided for that stays with the app's model of today."
        if left
        else ""
    )
    return (
        f"`config_classifier.yaml` asks the same router in LiteLLM's classifier slot, for requests that ask for `{AUTO}`.{few} The slot "
        "sees neither tools nor formats, and does not know what an app asked for before: shadow, holdout, STOP and off send it to its "
        f"model of today by the bundle ({today}).{gone} It writes no tags, so that there are no guardrails, no mirrored answers and no "
        "`planner verify`. The way back is to let apps ask for their own groups again. LiteLLM checks a key against the group that it asks "
        f"for: who may use `{AUTO}`, here or without code, gets every tier's model, whatever else the key may use."
    )


def _nocode(nocode: NoCode | str) -> str:
    if isinstance(nocode, str):
        return f"`config_nocode.yaml` was left out. {nocode}"
    models = ", ".join(dict.fromkeys(nocode.tiers.values()))
    return (
        f"`config_nocode.yaml` needs no code of ours and chooses among {models} for every request that asks for `{AUTO}`. "
        f"{nocode.text} `rollout.json` and STOP mean nothing to it: there is no shadow, no share, no holdout, no guardrail and nothing for "
        f"`planner verify` to compare. The way back is to let apps ask for their own groups again, or to give `{AUTO}` their model of "
        "today and restart the gateway."
    )


def _failing(router: Router, plain: GatewaySettings) -> str:
    """Say where a request goes in the configurations without the hook when the model it was moved to fails."""
    chains = {group: then for chain in plain.router.get("fallbacks", ()) for group, then in chain.items()}
    moved = [model for model in router.candidates if chains.get(model)]
    none = [model for model in router.candidates if not chains.get(model)]
    back = "; ".join(f"{model} to {', '.join(chains[model])}" for model in moved)
    said = f"In both, what fails falls back from {back}. " if back else ""
    lacks = f"From {', '.join(none)} there is no way back: apps ask for it themselves, their models of today differ, or the plan has none."
    return f"{said}{lacks if none else ''}".strip()


def _between(limits: Sequence[float] | None) -> str:
    return " (no interval)" if limits is None else f" [{limits[0]:,.2f}, {limits[1]:,.2f}]"


def _span(estimate: Mapping[str, Any], spec: str) -> str:
    limits = "" if estimate["low"] is None else f" [{estimate['low']:{spec}}, {estimate['high']:{spec}}]"
    return f"{estimate['value']:{spec}}{limits} ({estimate['evidence']})"


def _unsaid(settings: GatewaySettings) -> str:
    """List what the gateway does otherwise, lever by lever."""
    reasons: dict[str, list[str]] = {}
    for lever, reason in settings.unsaid:
        reasons.setdefault(lever, []).append(f"  - {reason[0].upper()}{reason[1:]}.")
    return "\n".join("\n".join([f"- {lever[0].upper()}{lever[1:]}:", *lines]) for lever, lines in reasons.items())
